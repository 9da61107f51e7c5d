import type { TSchema } from '@sinclair/typebox'
import fc from 'fast-check'
import t from 'tap'
import { CancelFrame, HelloFrame, InboundEventFrame, RequestFrame } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { arbitraryOf } from '../helpers/arbitrary-of.js'
import type { TestSocket } from '../helpers/socket.js'

const poison = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'type',
  'id',
  'params',
  'sessionKey',
)
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    'request',
    'cancel',
    'event',
    'hello',
    '',
    null,
    -1,
    1e308,
    [],
    {},
    [[]],
    '\u0000',
    '\ud800',
  ),
  fc.nat(300).map((n) => 'x'.repeat(n)),
)

type Mutation = { kind: number; at: number; key: string; value: unknown }
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.nat(6),
  at: fc.nat(),
  key: poison,
  value: junk,
})

/** A random object inside `value`, or `value` itself. */
function somewhere(value: unknown, at: number): Record<string, unknown> | null {
  const found: Record<string, unknown>[] = []
  const visit = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node)) found.push(node as Record<string, unknown>)
    for (const child of Object.values(node)) visit(child)
  }
  visit(value)
  return found[at % found.length] ?? null
}

/** The text of a frame with some of it broken. */
function mutate(frame: unknown, mutations: Mutation[]): string {
  const copy = JSON.parse(JSON.stringify(frame)) as unknown
  let text: string | null = null
  for (const { kind, at, key, value } of mutations) {
    const target = somewhere(copy, at)
    if (target === null) continue
    const keys = Object.keys(target)
    const some = keys[at % Math.max(1, keys.length)] ?? key
    if (kind === 0) delete target[some]
    else if (kind === 1) target[some] = value
    else if (kind === 2)
      Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
    else if (kind === 3) text = JSON.stringify(value)
    else if (kind === 4) text = JSON.stringify(copy).slice(0, at % 200)
    else if (kind === 5) text = JSON.stringify([copy])
    else text = JSON.stringify(copy).replace(/[":,{]/g, (c, i: number) => (i % 7 === at % 7 ? '' : c))
  }
  return text ?? JSON.stringify(copy)
}

interface Sent {
  /** The id that the gateway can read; null: none. */
  id: string | null
  /** How often it is answered under that id: at least, at most. */
  answers: [number, number]
}

/** What the protocol promises for this text. */
function expectation(text: string): Sent {
  let frame: Record<string, unknown>
  try {
    frame = JSON.parse(text)
  } catch {
    return { id: null, answers: [0, 0] }
  }
  const { id, type } = frame ?? {}
  if (
    typeof frame !== 'object' ||
    Array.isArray(frame) ||
    typeof id !== 'string' ||
    id === '' ||
    id.length > 128
  ) {
    return { id: null, answers: [0, 0] }
  }
  if (type === 'cancel') return { id, answers: [0, 0] }
  return { id, answers: type === 'event' ? [0, 1] : [1, 1] }
}

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
