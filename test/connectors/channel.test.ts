import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Channel } from '../../src/connectors/channel.js'
import { type ChannelState, type ChannelStatus, GatewayError } from '../../src/protocol/index.js'
import { connectorContext } from '../helpers/connector-host.js'
import { incoming, ScriptedConnector } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

function channelOf(t: Test, connector = new ScriptedConnector(), limits: object = {}) {
  const statuses: ChannelStatus[] = []
  const { log, logged } = connectorContext()
  const channel = new Channel({
    entry: {
      name: 'mine',
      type: 'scripted',
      channel: 'test',
      connector,
      enabled: true,
      access: { allow: new Set(['*']), pairing: false, mentions: true },
      preview: true,
      typing: true,
      questions: 'ask',
    },
    config: {
      reconnect: {
        backoffMs: 1,
        maxBackoffMs: 2,
        stableAfterMs: 60_000,
        connectTimeoutMs: 60_000,
        ...limits,
      },
      stopGraceMs: 5,
    },
    log,
    receive: async () => ({ accepted: true, eventId: 'e', runId: 'r', duplicate: false }),
    knows: async () => false,
    pending: () => 3,
    onStatus: (status) => statuses.push(status),
  })
  t.teardown(() => channel.close())
  const states = () => statuses.map(({ state }) => state)
  const become = async (state: ChannelState) => until(() => channel.status().state === state)
  return { channel, connector, statuses, states, become, logged }
}

t.test('connects, says so with what it is, and stops', async (t) => {
  const { channel, connector, statuses, states, become, logged } = channelOf(t)
  t.match(channel.status(), { state: 'stopped', identity: null, error: null, pending: 3 })
  channel.start()
  channel.start()
  await become('connected')
  t.ok(channel.ready)
  t.match(statuses.at(-1), {
    channel: 'test',
    connector: 'mine',
    type: 'scripted',
    state: 'connected',
    identity: '@gateway',
    error: null,
  })
  t.equal((await channel.send({} as never, AbortSignal.abort())).messageId, null)
  await channel.stop()
  await channel.stop()
  t.equal(connector.listens.length, 1)
  t.ok(connector.now.ended)
  t.strictSame(states(), ['connecting', 'connected', 'stopped'])
  t.strictSame(
    logged.map(([level, , message]) => [level, message]),
    [
      ['debug', 'channel connecting'],
      ['info', 'channel connected'],
      ['info', 'channel stopped'],
    ],
  )
  await t.rejects(channel.send({} as never, AbortSignal.abort()), { code: 'UNAVAILABLE' })
})

t.test('a lost connection is made again, and only its first failure is news', async (t) => {
  const { channel, connector, become, logged, statuses } = channelOf(t)
  channel.start()
  for (let lost = 1; lost <= 4; lost++) {
    await until(() => connector.listens.length === lost && channel.ready)
    connector.now.fail(new Error(`ECONNRESET with a secret, ${lost}`))
  }
  await until(() => connector.listens.length === 5)
  await become('connected')
  t.equal(channel.reconnects, 4)
  const news = logged
    .filter(([level]) => level !== 'debug')
    .map(([level, , message]) => `${level} ${message}`)
  t.strictSame(news, ['info channel connected', 'warn channel waiting', 'info channel connected'])
  const waiting = statuses.filter(({ state }) => state === 'waiting')
  t.equal(waiting.length, 4)
  for (const { error, retryInMs } of waiting) {
    t.match(error, { code: 'UNAVAILABLE', retryable: true, message: /the gateway log has the cause/ })
    t.ok(retryInMs! >= 1)
  }
  t.match(logged.find(([level]) => level === 'warn')![1], { cause: 'ECONNRESET with a secret, 1' })
})

t.test(
  'a connection that held long enough begins anew with the shortest wait, and is news again',
  async (t) => {
    const { channel, connector, logged } = channelOf(t, undefined, { stableAfterMs: 0 })
    channel.start()
    for (let lost = 1; lost <= 3; lost++) {
      await until(() => connector.listens.length === lost && channel.ready)
      connector.now.fail(new Error('gone'))
    }
    await until(() => connector.listens.length === 4)
    t.equal(logged.filter(([level]) => level === 'warn').length, 3)
  },
)

t.test('an error that is not retryable ends the attempts until someone starts the channel', async (t) => {
  const connector = new ScriptedConnector()
  connector.onListen = ({ inlet }) => {
    if (connector.listens.length > 1) return inlet.connected()
    throw new GatewayError('UNAUTHORIZED', 'The platform refuses the token.')
  }
  const { channel, states, become, logged } = channelOf(t, connector)
  channel.start()
  await become('failed')
  t.match(channel.status(), {
    error: { code: 'UNAUTHORIZED', message: 'The platform refuses the token.', retryable: false },
  })
  t.equal(logged.filter(([level]) => level === 'error').length, 1)
  t.equal(connector.listens.length, 1)
  channel.start()
  await become('connected')
  t.equal(channel.status().error, null)
  t.strictSame(states(), ['connecting', 'failed', 'connecting', 'connected'])
})

t.test('two failures that take turns are told once each', async (t) => {
  const { channel, connector, logged } = channelOf(t)
  channel.start()
  for (let lost = 1; lost <= 6; lost++) {
    await until(() => connector.listens.length === lost && channel.ready)
    connector.now.fail(new Error(lost % 2 === 0 ? 'refused' : 'gone'))
  }
  await until(() => connector.listens.length === 7)
  const news = logged.filter(([level]) => level === 'warn')
  t.match(news, [
    ['warn', { cause: 'gone' }],
    ['warn', { cause: 'refused' }],
  ])
  t.equal(news.length, 2)
})

t.test('what comes before the connection is complete is taken', async (t) => {
  const { channel, connector, become } = channelOf(t)
  const received: unknown[] = []
  connector.onListen = async ({ inlet }) => {
    received.push(await inlet.receive(incoming('waited for you')))
    inlet.connected()
  }
  channel.start()
  await become('connected')
  t.match(received, [{ accepted: true }])
})

t.test('what a connected channel is refused shows until it is over, and is told once', async (t) => {
  const { channel, connector, become, statuses } = channelOf(t)
  const refusal = new GatewayError('FORBIDDEN', 'Not allowed to write there.')
  const trouble = new GatewayError('FORBIDDEN', 'Not in #team (banned).')
  connector.onListen = ({ inlet }) => {
    inlet.troubled(connector.listens.length === 1 ? trouble : null)
    inlet.connected()
  }
  const errors = () => statuses.map(({ error }) => error?.message ?? null)
  const send = (thrown?: Error, signal = new AbortController().signal) => {
    connector.onSend = () => {
      if (thrown !== undefined) throw thrown
      return { messageId: null }
    }
    return channel.send({ runId: null } as never, signal).catch(() => {})
  }
  channel.start()
  await become('connected')
  t.strictSame(errors(), [null, trouble.message])
  connector.now.inlet.troubled(trouble)
  connector.now.inlet.troubled(null)
  for (const thrown of [refusal, refusal, new GatewayError('UNAVAILABLE', 'Later.'), new Error('?')]) {
    await send(thrown)
  }
  await send(new GatewayError('CANCELLED', 'Stopped.'), AbortSignal.abort())
  t.strictSame(errors().slice(2), [null, refusal.message])
  t.match(channel.status(), { state: 'connected', error: { code: 'FORBIDDEN', retryable: false } })
  await send()
  t.strictSame(errors().slice(4), [null])
  await send(refusal)
  connector.now.fail(new Error('gone'))
  await until(() => connector.listens.length === 2)
  await become('connected')
  t.equal(channel.status().error, null, 'the next connection knows nothing of it')
  await channel.stop()
  t.equal(channel.status().error, null)
})

t.test(
  'a token that is refused when something is sent fails the channel, and the message waits',
  async (t) => {
    const { channel, connector, become, logged, states } = channelOf(t)
    connector.onSend = () => {
      throw new GatewayError('UNAUTHORIZED', 'The token was revoked.')
    }
    channel.start()
    await become('connected')
    const signal = new AbortController().signal
    const part = { runId: null } as never
    const sent = await Promise.allSettled([channel.send(part, signal), channel.send(part, signal)])
    for (const one of sent) t.match(one, { reason: { code: 'UNAVAILABLE', retryable: true } })
    await become('failed')
    t.match(channel.status(), { error: { code: 'UNAUTHORIZED', message: 'The token was revoked.' } })
    t.equal(logged.filter(([level]) => level === 'error').length, 1)
    connector.onSend = () => ({ messageId: '1' })
    channel.start()
    await become('connected')
    t.strictSame(await channel.send(part, signal), { messageId: '1' })
    t.strictSame(states(), ['connecting', 'connected', 'failed', 'connecting', 'connected'])
  },
)

t.test('a failed channel can be stopped', async (t) => {
  const connector = new ScriptedConnector()
  connector.onListen = ({ fail }) => fail
  connector.onListen = (listen) => listen.fail(new GatewayError('FORBIDDEN', 'no'))
  const { channel, become } = channelOf(t, connector)
  channel.start()
  await become('failed')
  await channel.stop()
  t.match(channel.status(), { state: 'stopped' })
})

t.test('a connection that does not come about in time is given up and tried again', async (t) => {
  const connector = new ScriptedConnector()
  connector.onListen = () => {}
  const { channel, statuses } = channelOf(t, connector, { connectTimeoutMs: 5 })
  channel.start()
  await until(() => connector.listens.length >= 2)
  t.ok(connector.listens[0]!.signal.aborted)
  t.match(
    statuses.find(({ state }) => state === 'waiting'),
    { error: { code: 'UNAVAILABLE', message: 'There was no connection within 5 ms.' } },
  )
})

t.test('a listen that resolves by itself is a lost connection', async (t) => {
  const { channel, connector, statuses } = channelOf(t)
  channel.start()
  await until(() => channel.ready)
  connector.now.resolve()
  await until(() => connector.listens.length === 2)
  t.match(
    statuses.find(({ state }) => state === 'waiting'),
    { error: { message: 'The connection ended.' } },
  )
})

t.test('a platform that says when to come back is obeyed, and a start by hand goes before', async (t) => {
  const connector = new ScriptedConnector()
  connector.onListen = (listen) => {
    if (connector.listens.length > 1) return listen.inlet.connected()
    listen.fail(new GatewayError('RATE_LIMITED', 'later', { retryAfterMs: 3_600_000 }))
  }
  const { channel, become } = channelOf(t, connector)
  channel.start()
  await become('waiting')
  t.match(channel.status(), { retryInMs: 3_600_000 })
  channel.start()
  await become('connected')
  t.equal(channel.status().retryInMs, undefined)
})

t.test('what a connector says after its connection ended has no effect', async (t) => {
  const { channel, connector, states } = channelOf(t)
  connector.onListen = () => {}
  channel.start()
  await until(() => connector.listens.length === 1)
  const { inlet } = connector.now
  inlet.connected('first')
  inlet.connected('second')
  t.equal(channel.status().identity, 'first')
  t.match(await inlet.receive(incoming('hi')), { accepted: true })
  await channel.stop()
  inlet.connected('late')
  await t.rejects(inlet.receive(incoming('hi')), { code: 'UNAVAILABLE' })
  t.strictSame(states(), ['connecting', 'connected', 'stopped'])
  t.equal(channel.status().identity, 'first')
})

t.test('a connector that ignores its signal is left behind, but not again and again', async (t) => {
  const connector = new ScriptedConnector()
  connector.obeys = false
  const { channel, become, logged } = channelOf(t, connector)
  for (let time = 1; time <= 3; time++) {
    channel.start()
    await become('connected')
    await channel.stop()
  }
  channel.start()
  await become('failed')
  t.match(channel.status().error, { message: /did not end 3 connections/ })
  t.equal(logged.filter(([, , message]) => /left behind/.test(message)).length, 3)
  connector.listens[0]!.resolve()
  await turn()
  channel.start()
  await become('connected')
  t.equal(connector.listens.length, 4)
})

t.test('stopping and starting in one breath leaves it running', async (t) => {
  const { channel, connector, become } = channelOf(t)
  channel.start()
  await become('connected')
  const stopped = channel.stop()
  channel.start()
  await stopped
  await until(() => connector.listens.length === 2)
  await become('connected')
})

t.test('a closed channel stays closed', async (t) => {
  const { channel, connector } = channelOf(t)
  channel.start()
  await channel.close()
  await channel.close()
  t.equal(connector.closed, 1)
  t.throws(() => channel.start(), { code: 'UNAVAILABLE' })
})

t.test('a platform’s request reaches the connector while it listens', async (t) => {
  const connector = new ScriptedConnector()
  const { channel, become } = channelOf(t, connector)
  const request = { headers: {}, body: Buffer.from('x'), remoteAddress: '', signal: AbortSignal.abort() }
  await t.rejects(channel.endpoint(request), { code: 'NOT_FOUND' })
  Object.assign(connector, { endpoint: async () => ({ status: 204 }) })
  await t.rejects(channel.endpoint(request), { code: 'UNAVAILABLE' })
  channel.start()
  await become('connected')
  t.strictSame(await channel.endpoint(request), { status: 204 })
})
