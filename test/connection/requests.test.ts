import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { contract, GatewayError, ResponseFrame } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const any = { scope: null, params: Type.Object({}), result: Type.Unknown() }
const method = (name: string) => contract({ name, summary: 'For this test.', ...any })

/** `test.hold` is answered when the test says so; `signals` has the signals of its requests by id. */
function holdable() {
  const signals = new Map<string, AbortSignal>()
  const answers = new Map<string, (value: unknown) => void>()
  return {
    signals,
    answer: (id: string, value: unknown) => answers.get(id)!(value),
    held: (count: number) => until(() => answers.size >= count),
    prepare: (app: FastifyInstance) => {
      app.method(method('test.hold'), (_params, { requestId, signal }) => {
        signals.set(requestId, signal)
        return new Promise((resolve) => answers.set(requestId, resolve))
      })
    },
  }
}

t.test('every response has id, result and error, one of the two null', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const good = await socket.request('gateway.ping', { data: 1 })
  const bad = await socket.request('no.such')
  t.strictSame(Object.keys(good).sort(), ['error', 'id', 'result', 'type'])
  t.strictSame(Object.keys(bad).sort(), ['error', 'id', 'result', 'type'])
  t.equal(good.error, null)
  t.equal(bad.result, null)
  t.strictSame(Object.keys(bad.error).sort(), ['code', 'details', 'message', 'retryable'])
  t.equal(bad.error.details, null)
  for (const frame of [good, bad]) t.strictSame([...Value.Errors(ResponseFrame, frame)], [])
})

t.test('params may be left out or null', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (const params of [undefined, null, {}]) t.ok(await socket.call('gateway.ping', params))
})

t.test('ids are the client’s: any text of up to 128 characters comes back as it was', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (const id of ['0', ' ', '"\\\n\u0000', 'ключ', '😀'.repeat(64), '__proto__', 'null']) {
    socket.send({ type: 'request', id, method: 'gateway.ping' })
    t.match(await socket.next((frame) => frame.id === id), { type: 'response', error: null })
  }
})

t.test('responses go out when they are ready, whatever the order of the requests', async (t) => {
  const hold = holdable()
  const { connect } = await startApp(t, {}, hold)
  const socket = await connect()
  for (const id of ['a', 'b', 'c']) socket.send({ type: 'request', id, method: 'test.hold' })
  await hold.held(3)
  t.ok(await socket.call('gateway.ping'), 'a waiting request keeps no other waiting')
  for (const id of ['c', 'a', 'b']) {
    hold.answer(id, id)
    t.equal((await socket.next((frame) => frame.id === id)).result, id)
  }
})

t.test('an id that is in flight is refused; once answered it may be used again', async (t) => {
  const hold = holdable()
  const { connect } = await startApp(t, {}, hold)
  const socket = await connect()
  socket.send({ type: 'request', id: 'same', method: 'test.hold' })
  await hold.held(1)
  socket.send({ type: 'request', id: 'same', method: 'gateway.ping' })
  t.match(await socket.next((frame) => frame.id === 'same'), {
    error: { code: 'INVALID_REQUEST', message: /in flight/ },
  })
  hold.answer('same', 'first')
  await socket.next((frame) => frame.id === 'same' && frame.result === 'first')
  socket.send({ type: 'request', id: 'same', method: 'gateway.ping' })
  t.match(await socket.next((frame) => frame.id === 'same' && frame.result?.pong), { error: null })
})

t.test('past maxInFlight requests are RATE_LIMITED, the others go on', async (t) => {
  const hold = holdable()
  const { connect, url } = await startApp(t, { connection: { maxInFlight: 3 } }, hold)
  const socket = await connect()
  t.equal(socket.helloOk!.policy.maxInFlight, 3)
  for (let i = 0; i < 4; i++) socket.send({ type: 'request', id: `h${i}`, method: 'test.hold' })
  const { error } = await socket.next((frame) => frame.id === 'h3')
  t.match(error, { code: 'RATE_LIMITED', retryable: true })
  t.ok(error.retryAfterMs > 0)
  t.match(await socket.refused('made.up'), { code: 'METHOD_NOT_FOUND' })
  hold.answer('h0', null)
  await socket.next((frame) => frame.id === 'h0')
  t.ok(await socket.call('gateway.ping'))
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.notMatch(metrics, /made\.up/, 'no label is what a client made up')
})

t.test('a cancelled request is answered CANCELLED at once, and its handler is told', async (t) => {
  const hold = holdable()
  const { connect } = await startApp(t, {}, hold)
  const socket = await connect()
  socket.send({ type: 'request', id: 'c', method: 'test.hold' })
  await hold.held(1)
  const signal = hold.signals.get('c')!
  t.notOk(signal.aborted)
  const aborted = once(signal, 'abort')
  socket.send({ type: 'cancel', id: 'c' })
  t.match(await socket.next((frame) => frame.id === 'c'), { result: null, error: { code: 'CANCELLED' } })
  await aborted
  hold.answer('c', 'too late')
  await socket.call('gateway.ping')
  t.equal(socket.frames.filter((frame) => frame.id === 'c').length, 1, 'answered once')
})

t.test('a cancel of what is not in flight does nothing', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (let i = 0; i < 30; i++) socket.send({ type: 'cancel', id: `unknown ${i}` })
  t.ok(await socket.call('gateway.ping'))
  t.equal(socket.frames.filter((frame) => frame.type === 'response').length, 1)
})

t.test('a waiting send and a wait for a run can be cancelled; what was accepted stays', async (t) => {
  const { connect } = await startApp(
    t,
    { defaultAgent: 'slow', agents: { slow: { type: 'never' } } },
    {
      prepare: (app) =>
        app.agent('never', () => ({
          type: 'never',
          run: (_event, { signal }) =>
            new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        })),
    },
  )
  const socket = await connect()
  socket.send({
    type: 'request',
    id: 'w',
    method: 'sessions.send',
    params: { content: 'hi', wait: true },
    sessionKey: 'a',
  })
  await socket.event('agent.started')
  socket.send({ type: 'cancel', id: 'w' })
  t.match(await socket.next((frame) => frame.id === 'w'), { error: { code: 'CANCELLED' } })
  t.equal((await socket.call('lanes.get', {}, 'a')).running.attempt, 1, 'the run goes on')
  t.equal((await socket.call('agent.abort', {}, 'a')).aborted.length, 1)
})

t.test('the end of a connection aborts the requests that it had in flight', async (t) => {
  const hold = holdable()
  const { connect, app } = await startApp(t, {}, hold)
  const socket = await connect()
  socket.send({ type: 'request', id: 'x', method: 'test.hold' })
  await hold.held(1)
  const aborted = once(hold.signals.get('x')!, 'abort')
  socket.terminate()
  await aborted
  await until(() => app.connections.size === 0)
  hold.answer('x', 'to nobody')
})

t.test('INTERNAL_ERROR says nothing of the inside; the log has it under the request’s id', async (t) => {
  const { logger, lines } = captureLog()
  const secret = 'password=hunter2 at /srv/gateway/db.ts:7'
  const { connect } = await startApp(
    t,
    {},
    {
      logger,
      prepare: (app) => {
        app.method(method('test.throw'), () => {
          throw new Error(secret)
        })
        app.method(method('test.reject'), async () => {
          throw new TypeError(secret, { cause: new Error('deeper') })
        })
        app.method(method('test.odd'), () => Promise.reject(undefined))
      },
    },
  )
  const socket = await connect()
  for (const [i, name] of ['test.throw', 'test.reject', 'test.odd'].entries()) {
    socket.send({ type: 'request', id: `oops-${i}`, method: name })
    const frame = await socket.next(({ id }) => id === `oops-${i}`)
    t.match(frame, { result: null, error: { code: 'INTERNAL_ERROR', details: null, retryable: false } })
    t.notMatch(JSON.stringify(frame), /hunter2|stack|\.ts|deeper/)
    const line = lines.find(({ requestId }) => requestId === `oops-${i}`)
    t.match(line, { level: 50, method: name, connId: socket.helloOk!.server.connId })
    if (name !== 'test.odd') t.match(line, { err: { message: /hunter2/, stack: /requests\.test/ } })
  }
  t.ok(await socket.call('gateway.ping'))
})

t.test('errors of a handler keep their code, details and time', async (t) => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  const { connect } = await startApp(
    t,
    {},
    {
      prepare: (app) => {
        app.method(method('test.linked'), () => {
          throw new GatewayError('NOT_LINKED', 'No key.', { details: { provider: 'x' }, retryAfterMs: 5 })
        })
        app.method(method('test.cyclic'), async () => {
          throw new GatewayError('CONFLICT', 'Twice.', { details: cycle })
        })
      },
    },
  )
  const socket = await connect()
  t.strictSame(await socket.refused('test.linked'), {
    code: 'NOT_LINKED',
    message: 'No key.',
    details: { provider: 'x' },
    retryable: false,
    retryAfterMs: 5,
  })
  t.match(await socket.refused('test.cyclic'), { code: 'CONFLICT', message: 'Twice.', details: null })
})

t.test(
  'a result that JSON cannot say is an INTERNAL_ERROR or null, and the connection lives on',
  async (t) => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    const results: [unknown, 'INTERNAL_ERROR' | null][] = [
      [10n, 'INTERNAL_ERROR'],
      [cycle, 'INTERNAL_ERROR'],
      [
        {
          get a() {
            throw new Error('no')
          },
        },
        'INTERNAL_ERROR',
      ],
      [undefined, null],
      [() => 1, null],
      [Symbol('a'), null],
      [Number.NaN, null],
    ]
    const { connect } = await startApp(
      t,
      {},
      {
        prepare: (app) => {
          const params = Type.Object({ i: Type.Integer() })
          app.method(contract({ ...method('test.sync'), params }), ({ i }) => results[i]![0])
          app.method(contract({ ...method('test.async'), params }), async ({ i }) => results[i]![0])
        },
      },
    )
    const socket = await connect()
    for (const [i, [, code]] of results.entries()) {
      for (const name of ['test.sync', 'test.async']) {
        const { result, error } = await socket.request(name, { i })
        t.equal(result, null)
        t.equal(error?.code ?? null, code, `${name} ${i}`)
      }
    }
    t.ok(await socket.call('gateway.ping'))
  },
)

t.test('a method that is not allowed is FORBIDDEN and says which scope it needs', async (t) => {
  const { connect } = await startApp(t, {
    auth: {
      tokens: [
        { token: 'viewer-token', role: 'viewer' },
        { token: 'agent-token', role: 'agent' },
        { token: 'confined', scopes: ['read', 'write'], sessions: ['mine:*'] },
      ],
    },
  })
  const viewer = await connect({ auth: { token: 'viewer-token' } })
  t.match(await viewer.refused('sessions.send', { content: 'a' }, 'x'), {
    code: 'FORBIDDEN',
    details: { scope: 'write' },
  })
  t.ok(await viewer.call('sessions.list'))
  const agent = await connect({ auth: { token: 'agent-token' } })
  t.match(await agent.refused('sessions.list'), { code: 'FORBIDDEN', details: { scope: 'read' } })
  t.ok(await agent.call('gateway.ping'))
  t.ok(await agent.call('methods.list'))
  const confined = await connect({ auth: { token: 'confined' } })
  t.match(await confined.refused('sessions.send', { content: 'a' }, 'yours:1'), { code: 'FORBIDDEN' })
  t.match(await confined.refused('sessions.get', {}, 'yours:1'), { code: 'FORBIDDEN' })
  t.match(await confined.refused('events.subscribe', { sessionKeys: ['mine:1', 'yours:1'] }), {
    code: 'FORBIDDEN',
  })
  t.ok(await confined.call('sessions.send', { content: 'a' }, 'mine:1'))
})

t.test('a send that waits in vain is told that its message is accepted', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  socket.send({
    type: 'request',
    id: 'w',
    method: 'sessions.send',
    sessionKey: 'web:1:main',
    params: { content: 'hi', wait: true },
  })
  const run = await agent.next()
  socket.send({ type: 'cancel', id: 'w' })
  const { error } = await socket.next(({ type, id }) => type === 'response' && id === 'w')
  t.match(error, {
    code: 'CANCELLED',
    details: { accepted: { runId: run.context.runId, eventId: run.event.id, queued: 0 } },
  })
  run.reply()
})
