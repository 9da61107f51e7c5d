import type { TSchema } from '@sinclair/typebox'
import t from 'tap'
import { CancelFrame, HelloFrame, InboundEventFrame, RequestFrame } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { arbitraryOf } from '../helpers/arbitrary-of.js'
import { expectation, junk, type Mutation, mutate, mutation } from '../helpers/fuzzing.js'
import fc from '../helpers/properties.js'
import type { TestSocket } from '../helpers/socket.js'

const answersTo = (socket: TestSocket, id: string) =>
  socket.frames.filter((frame) => frame.type === 'response' && frame.id === id).length

t.test(
  'whatever comes in, each request is answered once and nothing but too much nonsense ends the connection',
  async (t) => {
    const { connect, app } = await startApp(t, {
      auth: { tokens: [{ token: 'operator-token', role: 'operator' }] },
      lanes: { capacity: 10, runTimeoutMs: 1_000 },
    })
    const control = await connect({ auth: { token: 'operator-token' } })
    const { methods } = (await control.call('methods.list')) as {
      methods: { name: string; params: TSchema }[]
    }
    const request = fc
      .tuple(
        arbitraryOf(RequestFrame) as fc.Arbitrary<Record<string, unknown>>,
        fc.oneof(
          ...methods.map(({ name, params }) =>
            fc.record({ method: fc.constant(name), params: arbitraryOf(params) }),
          ),
          fc.constant({}),
        ),
        fc.constantFrom('a:1', 'a:2', 'b:1', null),
      )
      .map(([frame, call, sessionKey]) => ({ ...frame, ...call, sessionKey }))
    const frame = fc.oneof(
      { weight: 6, arbitrary: request },
      { weight: 2, arbitrary: arbitraryOf(InboundEventFrame) },
      { weight: 1, arbitrary: arbitraryOf(CancelFrame) },
      { weight: 1, arbitrary: arbitraryOf(HelloFrame) },
      { weight: 1, arbitrary: junk },
    )
    const mutations = fc.oneof(
      { weight: 2, arbitrary: fc.constant<Mutation[]>([]) },
      { weight: 1, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 3 }) },
    )
    const texts = fc.array(
      fc.tuple(frame, mutations).map(([value, some]) => mutate(value, some)),
      { minLength: 5, maxLength: 60, size: 'max' },
    )

    const { stats } = app.connections
    await fc.assert(
      fc.asyncProperty(texts, fc.boolean(), async (texts, cancels) => {
        const socket = await connect({ auth: { token: 'operator-token' } })
        const before = stats.framesBad
        const expected = new Map<string, [number, number]>()
        for (const text of texts) {
          const { id, answers } = expectation(text)
          if (id !== null) {
            const [least, most] = expected.get(id) ?? [0, 0]
            expected.set(id, [least + answers[0], most + answers[1]])
          }
          socket.send(text)
        }
        if (cancels) for (const id of expected.keys()) socket.send({ type: 'cancel', id })
        socket.send({ type: 'request', id: 'the last one', method: 'gateway.ping' })
        const last = await socket.next(({ id }) => id === 'the last one').catch(() => null)
        if (last === null) {
          const { code } = await socket.closed
          return code === 4400 && stats.framesBad - before > 20
        }
        for (const [id, [least, most]] of expected) {
          while (answersTo(socket, id) < least)
            await socket.next((frame) => frame.id === id, socket.frames.length)
          if (answersTo(socket, id) > most)
            throw new Error(`${answersTo(socket, id)} answers to ${JSON.stringify(id)}`)
        }
        const live = await socket.call('gateway.ping', { data: 'alive' })
        for (const [id, [, most]] of expected) if (answersTo(socket, id) > most) return false
        if (socket.frames.some(({ error }) => error?.code === 'INTERNAL_ERROR'))
          throw new Error('INTERNAL_ERROR')
        socket.socket.close()
        return live.data === 'alive' && (await socket.closed).code === 1005
      }),
      { numRuns: 150 },
    )
    t.ok(await control.call('gateway.ping'), 'another connection has noticed nothing')
    t.equal(({} as Record<string, unknown>).polluted, undefined)
  },
)

t.test('whatever a hello looks like, it is answered and then served or closed', async (t) => {
  const { open } = await startApp(t)
  const hello = fc
    .tuple(arbitraryOf(HelloFrame), fc.array(mutation, { maxLength: 2 }))
    .map(([frame, some]) => mutate({ ...(frame as object), type: 'hello' }, some))
  await fc.assert(
    fc.asyncProperty(hello, async (text) => {
      const socket = await open()
      socket.send(text)
      socket.send({ type: 'request', id: 'after', method: 'gateway.ping' })
      const answer = await socket.next(({ id, type }) => id === 'after' || type === 'hello-error')
      if (answer.type === 'hello-error') return [4400, 4406].includes((await socket.closed).code)
      socket.terminate()
      const [first] = socket.frames
      return first!.type === 'hello-ok'
        ? answer.result.pong === true
        : first!.error.code === 'INVALID_REQUEST'
    }),
    { numRuns: 100 },
  )
  t.pass()
})

t.test('frames nested as deep as they can be harm nobody', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const depth = 200_000
  const deep = '['.repeat(depth) + ']'.repeat(depth)
  socket.send(deep)
  socket.send(`{"type":"request","id":"echo","method":"gateway.ping","params":{"data":${deep}}}`)
  socket.send(`{"type":"event","id":"event","event":"deep","sessionKey":"a","payload":{"data":${deep}}}`)
  socket.send(
    `{"type":"request","id":"meta","method":"sessions.create","sessionKey":"b","params":{"metadata":{"data":${deep}}}}`,
  )
  for (const id of ['echo', 'event', 'meta'])
    t.match(await socket.next((frame) => frame.id === id), { type: 'response' })
  t.ok(await socket.call('gateway.ping'))
})
