import t, { type Test } from 'tap'
import {
  type ClientState,
  createClient,
  createNodeClient,
  type GatewayClient,
  type NodeClientOptions,
} from '../../src/client/node.js'
import { GatewayError, gatewayInfo, gatewayPing, sessionsSend } from '../../src/protocol/index.js'
import { Inbox, type ScriptedConnection, type ScriptedGateway, scriptedGateway } from './scripted-gateway.js'

const me = { id: 'test', version: '1', platform: 'node', mode: 'cli' } as const
const soon = { minMs: 1, maxMs: 5, jitter: 0.5 }

interface Pair {
  gateway: ScriptedGateway
  client: GatewayClient
}

async function pair(t: Test, options: Partial<NodeClientOptions> = {}): Promise<Pair> {
  const gateway = await scriptedGateway()
  const client = createNodeClient({ url: gateway.url, client: me, reconnect: soon, ...options })
  t.teardown(async () => {
    client.close()
    await gateway.close()
  })
  return { gateway, client }
}

async function open(
  { gateway, client }: Pair,
  resume = { epoch: 'e', seq: 10, recovered: false },
): Promise<ScriptedConnection> {
  const connecting = client.connect()
  const connection = await gateway.next()
  connection.welcome(resume)
  await connecting
  return connection
}

function stateOf<S extends ClientState['status']>(
  client: GatewayClient,
  status: S,
): Promise<Extract<ClientState, { status: S }>> {
  return new Promise((resolve) => {
    const stop = client.onStateChange((state) => {
      if (state.status !== status) return
      stop()
      resolve(state as Extract<ClientState, { status: S }>)
    })
  })
}

t.test('the token goes in the hello and never in the address', async (t) => {
  const { gateway, client } = await pair(t, { token: 'secret', subscribe: ['agent.*'] })
  const connecting = client.connect()
  const connection = await gateway.next()
  t.match(connection.hello, {
    minProtocol: 1,
    maxProtocol: 1,
    client: me,
    auth: { token: 'secret' },
    subscribe: ['agent.*'],
  })
  t.equal(connection.hello.resume, undefined)
  connection.welcome({ epoch: 'e', seq: 3, recovered: false })
  t.equal((await connecting).resume.seq, 3)
  t.same(client.position, { epoch: 'e', seq: 3 })
})

t.test('a request is answered by the response of its id, in whatever order they come', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const first = both.client.request(gatewayPing, { data: 1 })
  const second = both.client.request('gateway.ping', { data: 2 }, { sessionKey: 'a:b' })
  const frames = [await connection.requests.next(), await connection.requests.next()]
  t.match(frames[1], { method: 'gateway.ping', params: { data: 2 }, sessionKey: 'a:b' })
  connection.answer(frames[1]!, { pong: true, at: 2, data: 2 })
  connection.answer(frames[0]!, { pong: true, at: 1, data: 1 })
  t.equal((await first).data, 1)
  t.same(await second, { pong: true, at: 2, data: 2 })
})

t.test('an error response rejects with the error that the gateway gave', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const request = both.client.request(gatewayInfo, {})
  connection.fail(await connection.requests.next(), {
    code: 'RATE_LIMITED',
    message: 'slow down',
    details: { limit: 1 },
    retryable: true,
    retryAfterMs: 7,
  })
  const error = await request.catch((error) => error)
  t.ok(error instanceof GatewayError)
  t.match(error, { code: 'RATE_LIMITED', details: { limit: 1 }, retryable: true, retryAfterMs: 7 })
})

t.test('an abort cancels the request at the gateway and rejects at once', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const controller = new AbortController()
  const request = both.client.request(gatewayInfo, {}, { signal: controller.signal })
  const { id } = await connection.requests.next()
  controller.abort()
  await t.rejects(request, { code: 'CANCELLED' })
  t.equal((await connection.cancels.next()).id, id)
  await t.rejects(both.client.request(gatewayInfo, {}, { signal: controller.signal }), { code: 'CANCELLED' })
})

t.test(
  'a request without an answer ends at its time limit and says that it may have been executed',
  async (t) => {
    const both = await pair(t, { requestTimeoutMs: 5 })
    const connection = await open(both)
    await t.rejects(both.client.request(gatewayInfo, {}), {
      code: 'UNAVAILABLE',
      retryable: true,
      message: /may have been executed/,
    })
    await connection.cancels.next()
  },
)

t.test('a request that the gateway would not take for its size is refused without being sent', async (t) => {
  const both = await pair(t)
  const connecting = both.client.connect()
  const connection = await both.gateway.next()
  connection.welcome({ epoch: 'e', seq: 0, recovered: false }, { maxPayloadBytes: 200 })
  await connecting
  const large = { data: 'é'.repeat(100) }
  await t.rejects(both.client.request(gatewayPing, large), { code: 'INVALID_REQUEST', message: /200/ })
  const small = both.client.request(gatewayPing, { data: 'x' })
  connection.answer(await connection.requests.next(), { pong: true, at: 0, data: 'x' })
  await small
})

t.test('events reach the listeners of their name and of the star until these end', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const seen: string[] = []
  const last = new Inbox<void>()
  const stop = both.client.on('agent.started', ({ event }) => seen.push(`named ${event}`))
  both.client.on('*', ({ event }) => {
    seen.push(`all ${event}`)
    if (event === 'agent.started') stop()
    if (event === 'end') last.put()
  })
  for (const event of ['agent.started', 'agent.started', 'other', 'end']) connection.event(event)
  await last.next()
  t.same(seen, ['named agent.started', 'all agent.started', 'all agent.started', 'all other', 'all end'])
})

t.test('a durable event that comes twice is seen once', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const seqs = new Inbox<number | undefined>()
  both.client.on('session.message', ({ seq }) => seqs.put(seq))
  for (const seq of [9, 10, 11, 11, 13, 12]) connection.event('session.message', seq)
  connection.event('session.message')
  t.same([await seqs.next(), await seqs.next(), await seqs.next()], [11, 13, undefined])
  t.same(both.client.position, { epoch: 'e', seq: 13 })
})

t.test('a lost connection comes back and goes on behind the last durable event', async (t) => {
  const both = await pair(t)
  const { client, gateway } = both
  const connection = await open(both)
  const seqs = new Inbox<number | undefined>()
  client.on('*', ({ seq }) => seqs.put(seq))
  connection.event('session.message', 11)
  await seqs.next()
  const waiting = stateOf(client, 'waiting')
  connection.cut()
  t.match((await waiting).error, { code: 'UNAVAILABLE' })

  const opened = stateOf(client, 'open')
  const again = await gateway.next()
  t.same(again.hello.resume, { epoch: 'e', seq: 11 })
  again.welcome({ epoch: 'e', seq: 11, recovered: true })
  t.equal((await opened).resumed, true)
  for (const seq of [11, 12, 13]) again.event('session.message', seq)
  t.same([await seqs.next(), await seqs.next()], [12, 13])

  again.close(1012)
  const third = await gateway.next()
  t.same(third.hello.resume, { epoch: 'e', seq: 13 })
  const reopened = stateOf(client, 'open')
  third.welcome({ epoch: 'other', seq: 2, recovered: false })
  t.equal((await reopened).resumed, false, 'another journal: a gap is possible')
  third.event('session.message', 3)
  t.equal(await seqs.next(), 3)
})

t.test('a client begins behind the position that it is given', async (t) => {
  const both = await pair(t, { resume: { epoch: 'e', seq: 4 } })
  const seqs = new Inbox<number | undefined>()
  both.client.on('*', ({ seq }) => seqs.put(seq))
  const connection = await open(both, { epoch: 'e', seq: 4, recovered: true })
  t.same(connection.hello.resume, { epoch: 'e', seq: 4 })
  connection.event('session.message', 5)
  t.equal(await seqs.next(), 5)
})

t.test(
  'a request in flight at a disconnect rejects as retryable, unless its idempotency key makes it harmless',
  async (t) => {
    const both = await pair(t)
    const { client, gateway } = both
    const connection = await open(both)
    const plain = client.request(gatewayInfo, {})
    const keyed = client.request(sessionsSend, { content: 'hi', idempotencyKey: 'k' }, { sessionKey: 'a:b' })
    await connection.requests.next()
    const sent = await connection.requests.next()
    connection.cut()
    await t.rejects(plain, { code: 'UNAVAILABLE', retryable: true, message: /may have been executed/ })

    const again = await gateway.next()
    again.welcome({ epoch: 'e', seq: 10, recovered: true })
    const resent = await again.requests.next()
    t.same(resent, sent)
    again.answer(resent, { eventId: 'e1', seq: 11, runId: 'r1', queued: 0 })
    t.equal((await keyed).eventId, 'e1')
  },
)

t.test('requests made while disconnected wait for the next connection, in order', async (t) => {
  const both = await pair(t, { maxWaiting: 2 })
  const { client, gateway } = both
  const connection = await open(both)
  const waiting = stateOf(client, 'waiting')
  connection.cut()
  await waiting
  const requests = [1, 2].map((data) => client.request(gatewayPing, { data }))
  await t.rejects(client.request(gatewayPing, { data: 3 }), { code: 'UNAVAILABLE', message: /wait already/ })
  const again = await gateway.next()
  again.welcome({ epoch: 'e', seq: 10, recovered: true })
  for (const data of [1, 2]) {
    const frame = await again.requests.next()
    t.same(frame.params, { data })
    again.answer(frame, { pong: true, at: 0, data })
  }
  t.same(
    (await Promise.all(requests)).map((result) => result.data),
    [1, 2],
  )
})

t.test('a request that waits for a connection ends at its time limit', async (t) => {
  const both = await pair(t, { reconnect: { minMs: 60_000, maxMs: 60_000 } })
  const connection = await open(both)
  const waiting = stateOf(both.client, 'waiting')
  connection.cut()
  await waiting
  await t.rejects(both.client.request(gatewayInfo, {}, { timeoutMs: 5 }), {
    code: 'UNAVAILABLE',
    message: /no connection/,
  })
})

t.test(
  'a hello-error rejects connect and nothing goes on behind it; connecting again is possible',
  async (t) => {
    const { gateway, client } = await pair(t)
    const connecting = client.connect()
    const early = client.request(gatewayInfo, {})
    const connection = await gateway.next()
    const error = { code: 'UNAUTHORIZED', message: 'no', details: null, retryable: false } as const
    connection.refuse(error)
    await t.rejects(connecting, error)
    await t.rejects(early, error)
    t.equal(client.state.status, 'idle')
    await t.rejects(client.request(gatewayInfo, {}), { code: 'UNAVAILABLE', message: /connect first/ })
    await open({ gateway, client })
    t.equal(client.state.status, 'open')
  },
)

t.test('a hello-error at a reconnect ends the client, unless it is retryable', async (t) => {
  const both = await pair(t)
  const { client, gateway } = both
  const first = await open(both)
  first.close(1001)
  const second = await gateway.next()
  const waiting = stateOf(client, 'waiting')
  second.refuse({ code: 'RATE_LIMITED', message: 'later', details: null, retryable: true, retryAfterMs: 20 })
  t.ok((await waiting).delayMs >= 20, 'waits as long as the gateway asked for')
  const third = await gateway.next()
  third.refuse({ code: 'UNAUTHORIZED', message: 'revoked', details: null, retryable: false })
  t.match(await client.closed, { code: 'UNAUTHORIZED', message: 'revoked' })
  t.equal(client.state.status, 'closed')
  await t.rejects(client.request(gatewayInfo, {}), { code: 'UNAUTHORIZED' })
  await t.rejects(client.connect(), { code: 'UNAUTHORIZED' })
})

for (const [code, name] of [
  [4400, 'INVALID_REQUEST'],
  [4401, 'UNAUTHORIZED'],
  [1009, 'INVALID_REQUEST'],
] as const) {
  t.test(`close code ${code} ends the client`, async (t) => {
    const both = await pair(t)
    const connection = await open(both)
    connection.close(code)
    t.match(await both.client.closed, { code: name, details: { closeCode: code } })
  })
}

t.test('without reconnect a lost connection ends the client', async (t) => {
  const both = await pair(t, { reconnect: false })
  const connection = await open(both)
  const request = both.client.request(gatewayInfo, {})
  await connection.requests.next()
  connection.cut()
  t.match(await both.client.closed, { code: 'UNAVAILABLE' })
  await t.rejects(request, { code: 'UNAVAILABLE' })
})

t.test(
  'a gateway that is not there, or does not speak the protocol, or says nothing is UNAVAILABLE',
  async (t) => {
    const gone = await scriptedGateway()
    await gone.close()
    const refused = createNodeClient({ url: gone.url, client: me })
    const error = await refused.connect().catch((error) => error)
    t.match(error, { code: 'UNAVAILABLE', message: /ECONNREFUSED/, cause: { code: 'ECONNREFUSED' } })

    const { gateway, client } = await pair(t, { connectTimeoutMs: 50 })
    const strange = client.connect()
    const connection = await gateway.next()
    connection.sendRaw('what?')
    await t.rejects(strange, { code: 'UNAVAILABLE', message: /does not speak/ })
    await t.rejects(client.connect(), { code: 'UNAVAILABLE', message: /no hello-ok .* within 50 ms/ })
  },
)

t.test('connecting can be aborted', async (t) => {
  const { gateway, client } = await pair(t)
  const controller = new AbortController()
  const connecting = client.connect(controller.signal)
  const connection = await gateway.next()
  controller.abort()
  await t.rejects(connecting, { code: 'CANCELLED' })
  await connection.closed
  t.equal(client.state.status, 'idle')
  await t.rejects(client.connect(controller.signal), { code: 'CANCELLED' })
})

t.test('closing rejects what is unanswered, closes the socket normally, and may be done twice', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const request = both.client.request(gatewayInfo, {})
  both.client.close()
  both.client.close()
  await t.rejects(request, { code: 'CANCELLED' })
  t.equal(await both.client.closed, null)
  t.equal(await connection.closed, 1000)
})

t.test('closing while it waits for the next try ends that, too', async (t) => {
  const both = await pair(t, { reconnect: { minMs: 60_000, maxMs: 60_000 } })
  const connection = await open(both)
  const waiting = stateOf(both.client, 'waiting')
  connection.cut()
  await waiting
  both.client.close()
  t.equal(await both.client.closed, null)
})

t.test('a connection on which nothing arrives any more is given up and made anew', async (t) => {
  const { gateway, client } = await pair(t)
  const connecting = client.connect()
  const connection = await gateway.next()
  connection.welcome({ epoch: 'e', seq: 0, recovered: false }, { heartbeatMs: 10 })
  await connecting
  const waiting = stateOf(client, 'waiting')
  t.equal((await connection.requests.next()).method, 'gateway.ping', 'the client asks')
  t.match((await waiting).error, { message: /does not answer/ })
  await gateway.next()
})

t.test('what was subscribed to is restored after a reconnect', async (t) => {
  const both = await pair(t, { subscribe: ['agent.*'] })
  const { client, gateway } = both
  const connection = await open(both)
  const subscribing = client.request('events.subscribe', { patterns: ['session.*'], sessionKeys: ['a:b'] })
  const subscriptions = [
    { patterns: ['agent.*'], sessionKeys: null },
    { patterns: ['session.*'], sessionKeys: ['a:b'] },
  ]
  connection.answer(await connection.requests.next(), { subscriptions })
  await subscribing
  const seen = new Inbox<string>()
  client.on('*', ({ event, sessionKey }) => seen.put(`${event} ${sessionKey}`))
  connection.cut()

  const again = await gateway.next()
  t.equal(again.hello.subscribe, undefined, 'everything at first, so that the replay has no gap')
  again.welcome({ epoch: 'e', seq: 10, recovered: true })
  const params = [await again.requests.next(), await again.requests.next()].map((frame) => frame.params)
  t.same(params, [{ patterns: ['agent.*'] }, { patterns: ['session.*'], sessionKeys: ['a:b'] }])
  again.event('session.message', 11, 'x:y')
  again.event('agent.failed', 12, 'x:y')
  again.event('session.message', 13, 'a:b')
  t.same([await seen.next(), await seen.next()], ['agent.failed x:y', 'session.message a:b'])
  t.same(client.position, { epoch: 'e', seq: 13 })

  const narrowed = client.request('events.unsubscribe', { patterns: ['session.*'], sessionKeys: ['a:b'] })
  const remaining = [{ patterns: ['agent.*'], sessionKeys: null }]
  again.answer(await again.requests.next(), { subscriptions: remaining })
  await narrowed
  again.cut()
  t.same((await gateway.next()).hello.subscribe, ['agent.*'])
})

t.test('it works over the WebSocket that browsers and newer Nodes have', async (t) => {
  if (!('WebSocket' in globalThis)) {
    t.pass('there is none here')
    return
  }
  const gateway = await scriptedGateway()
  const client = createClient({ url: gateway.url, client: me, reconnect: soon })
  t.teardown(() => gateway.close())
  const connection = await open({ gateway, client })
  const request = client.request(gatewayPing, { data: 1 })
  connection.answer(await connection.requests.next(), { pong: true, at: 1, data: 1 })
  t.equal((await request).data, 1)
  connection.close(1012)
  const again = await gateway.next()
  t.match(again.hello.resume, { epoch: 'e', seq: 10 })
  again.close(4401)
  await t.resolves(client.closed)
  client.close()
})

t.test('a client needs a ws address and a WebSocket', async (t) => {
  t.throws(() => createNodeClient({ url: 'http://127.0.0.1', client: me }), /expected ws/)
  t.throws(() => createNodeClient({ url: 'nonsense', client: me }), TypeError)
  if (!('WebSocket' in globalThis)) {
    t.throws(() => createClient({ url: 'ws://127.0.0.1', client: me }), /no global WebSocket/)
  }
  const refusing = class {
    constructor() {
      throw new SyntaxError('not from here')
    }
  } as unknown as NonNullable<Parameters<typeof createClient>[0]['WebSocket']>
  const client = createClient({ url: 'ws://127.0.0.1', client: me, WebSocket: refusing })
  await t.rejects(client.connect(), { code: 'INVALID_REQUEST', message: /not from here/ })
})

t.test('a restart is no failure: the first try comes as soon as after the first loss', async (t) => {
  const both = await pair(t, { reconnect: { minMs: 10, maxMs: 60_000, jitter: 0.5 } })
  const resume = { epoch: 'e', seq: 10, recovered: true }
  let connection = await open(both)
  for (const [code, attempt] of [
    [1006, 1],
    [1006, 2],
    [1012, 1],
    [1012, 1],
    [1001, 2],
  ]) {
    const waiting = stateOf(both.client, 'waiting')
    if (code === 1006) connection.cut()
    else connection.close(code!)
    t.equal((await waiting).attempt, attempt)
    t.ok((await waiting).delayMs <= 10 * 2 ** (attempt! - 1))
    connection = await both.gateway.next()
    t.match(connection.hello.resume, { epoch: 'e', seq: 10 })
    const reopened = stateOf(both.client, 'open')
    connection.welcome(resume)
    t.equal((await reopened).resumed, true)
  }
})

t.test('what a stopping gateway refuses is sent to the next one if it has an idempotency key', async (t) => {
  const both = await pair(t)
  const connection = await open(both)
  const refusal = {
    code: 'UNAVAILABLE',
    message: 'stopping',
    details: { reason: 'stopping' },
    retryable: true,
  } as const
  const keyed = both.client.request(
    sessionsSend,
    { content: 'a', idempotencyKey: 'k' },
    { sessionKey: 'a:b' },
  )
  const full = both.client.request(sessionsSend, { content: 'b', idempotencyKey: 'l' }, { sessionKey: 'a:b' })
  const plain = both.client.request(sessionsSend, { content: 'c' }, { sessionKey: 'a:b' })
  connection.fail(await connection.requests.next(), refusal)
  connection.fail(await connection.requests.next(), { ...refusal, details: { reason: 'lane_full' } })
  connection.fail(await connection.requests.next(), refusal)
  await t.rejects(full, { code: 'UNAVAILABLE' }, 'that is for the caller to decide')
  await t.rejects(plain, { code: 'UNAVAILABLE', retryable: true })
  connection.close(1012)
  const next = await both.gateway.next()
  next.welcome({ epoch: 'e', seq: 10, recovered: true })
  const again = await next.requests.next()
  t.match(again.params, { content: 'a', idempotencyKey: 'k' })
  next.answer(again, { eventId: 'e1', seq: 1, runId: 'r1', queued: 0 })
  t.match(await keyed, { runId: 'r1' })
  t.equal(next.requests.size, 0)
})
