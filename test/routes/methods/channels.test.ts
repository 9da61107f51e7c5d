import t from 'tap'
import { GatewayError } from '../../../src/protocol/index.js'
import { ScriptedConnector, startChannel } from '../../helpers/scripted-connector.js'
import { until } from '../../helpers/until.js'

t.test('channels are listed, looked at, stopped and started', async (t) => {
  const { connector, connect, app } = await startChannel(t)
  await until(() => app.channels.get('scripted')!.ready)
  const socket = await connect()
  const { channels } = await socket.call('channels.list', {})
  t.match(channels, [
    { channel: 'scripted', connector: 'mine', type: 'scripted', state: 'connected', pending: 0 },
  ])
  const one = { channel: 'scripted' }
  t.strictSame(await socket.call('channels.status', one), { channel: channels[0] })
  t.match(await socket.call('channels.stop', one), { channel: { state: 'stopped' } })
  t.ok(connector.now.ended)
  await socket.call('channels.stop', one)
  await socket.call('channels.start', one)
  await until(() => app.channels.get('scripted')!.ready)
  t.equal(connector.listens.length, 2)
  for (const method of ['status', 'start', 'stop'])
    t.match(await socket.refused(`channels.${method}`, { channel: 'none' }), { code: 'NOT_FOUND' })
})

t.test('something is said by channel and peer, or by session key', async (t) => {
  const { connector, connect } = await startChannel(t)
  const socket = await connect()
  const first = await socket.call('channels.send', { channel: 'scripted', peer: '9', text: 'hi', wait: true })
  t.match(first, { sessionKey: 'scripted:9:main', delivered: true })
  t.match(connector.sent, [{ target: { peer: '9', thread: null }, text: 'hi', runId: null }])
  const attachments = [{ type: 'image/png', data: 'AA==' }]
  const second = await socket.call('channels.send', { attachments }, 'scripted:9:5')
  t.match(second, { sessionKey: 'scripted:9:5', delivered: false })
  await until(() => connector.sent.length === 2)
  t.match(connector.sent[1], { target: { peer: '9', thread: '5' }, text: '', attachments })
  t.not(first.deliveryId, second.deliveryId)
})

t.test(
  'what is said again with its key is said once, over a restart and where there is no room',
  async (t) => {
    const config = { journal: { type: 'sqlite' as const }, channels: { maxPendingDeliveries: 1 } }
    const first = await startChannel(t, config)
    const socket = await first.connect()
    const params = { channel: 'scripted', peer: '9', text: 'hi', idempotencyKey: 'k' }
    const { deliveryId } = await socket.call('channels.send', { ...params, wait: true })
    const again = { deliveryId, sessionKey: 'scripted:9:main', duplicate: true }
    t.strictSame(await socket.call('channels.send', { ...params, wait: true }), { ...again, delivered: true })
    t.match(await socket.refused('channels.send', { ...params, text: 'other' }), {
      code: 'CONFLICT',
      details: { deliveryId },
    })
    const elsewhere = await socket.call('channels.send', { ...params, peer: '8', wait: true })
    t.not(elsewhere.deliveryId, deliveryId)
    t.notOk(elsewhere.duplicate)
    const sent = await socket.call('sessions.send', { content: 'hi', idempotencyKey: 'k' }, 'scripted:9:main')
    t.notOk(sent.duplicate, 'a key of a message is another one')
    t.strictSame(
      first.connector.sent.map(({ target, text }) => [target.peer, text]),
      [
        ['9', 'hi'],
        ['8', 'hi'],
      ],
    )
    await first.app.close()

    const next = await startChannel(t, config, new ScriptedConnector(), { home: first.home })
    next.connector.onSend = () => new Promise<never>(() => {})
    const other = await next.connect()
    await other.call('channels.send', { channel: 'scripted', peer: '7', text: 'stuck' })
    t.strictSame(await other.call('channels.send', params), { ...again, delivered: false })
    t.match(await other.refused('channels.send', { ...params, idempotencyKey: 'l' }), { code: 'UNAVAILABLE' })
  },
)

t.test('sends with the same key at the same time are one', async (t) => {
  const { connector, connect } = await startChannel(t)
  const socket = await connect()
  const params = { channel: 'scripted', peer: '9', text: 'hi', idempotencyKey: 'k', wait: true }
  const all = await Promise.all(Array.from({ length: 20 }, () => socket.call('channels.send', params)))
  t.equal(new Set(all.map(({ deliveryId }) => deliveryId)).size, 1)
  t.equal(all.filter(({ duplicate }) => duplicate).length, 19)
  t.equal(connector.sent.length, 1)
})

t.test('what cannot be said is refused with the reason', async (t) => {
  const connector = new ScriptedConnector({ attachments: false })
  const sending = new Promise<never>(() => {})
  connector.onSend = () => sending
  const { connect } = await startChannel(t, { channels: { maxPendingDeliveries: 1 } }, connector)
  const socket = await connect()
  const to = { channel: 'scripted', peer: '9' }
  const refusals: [object, string | undefined, string, RegExp][] = [
    [{ text: 'hi' }, undefined, 'INVALID_REQUEST', /channel. and .peer/],
    [{ text: 'hi', peer: '9' }, undefined, 'INVALID_REQUEST', /channel. and .peer/],
    [{ text: 'hi' }, 'web:1', 'INVALID_REQUEST', /conversation on a channel/],
    [{ text: 'hi', channel: 'none', peer: '9' }, undefined, 'NOT_FOUND', /no such channel/],
    [{ text: 'hi' }, 'web:1:main', 'NOT_FOUND', /no such channel/],
    [{ ...to }, undefined, 'INVALID_REQUEST', /params\.text/],
    [{ ...to, attachments: [{ type: 'a/b' }] }, undefined, 'INVALID_REQUEST', /takes no attachments/],
  ]
  for (const [params, key, code, message] of refusals)
    t.match(await socket.refused('channels.send', params, key), { code, message })
  await socket.call('channels.send', { ...to, text: 'hi' })
  t.match(await socket.refused('channels.send', { ...to, text: 'hi' }), {
    code: 'UNAVAILABLE',
    retryable: true,
    retryAfterMs: 5_000,
  })
})

t.test('whoever waits for what cannot be delivered hears why, and under which id it is kept', async (t) => {
  const connector = new ScriptedConnector()
  connector.onSend = () => {
    throw new GatewayError('NOT_FOUND', 'This chat is gone.')
  }
  const { connect } = await startChannel(t, {}, connector)
  const socket = await connect()
  const params = { channel: 'scripted', peer: '9', text: 'hi', wait: true }
  t.match(await socket.refused('channels.send', params), {
    code: 'NOT_FOUND',
    message: 'This chat is gone.',
    details: { deliveryId: /^dlv_/ },
  })
})

t.test('scopes and sessions confine who may do what', async (t) => {
  const token = (name: string, scopes: string[], sessions?: string[]) => ({
    name,
    token: `${name}-0123456789abcdef`,
    scopes,
    ...(sessions && { sessions }),
  })
  const { connect, connector } = await startChannel(t, {
    connector: { allow: [], pairing: true },
    auth: {
      enabled: true,
      tokens: [
        token('admin', ['read', 'write', 'admin']),
        token('writer', ['read', 'write'], ['scripted:9:*']),
        token('reader', ['read']),
        token('other', ['read', 'write', 'admin'], ['other:*', 'scripted:9:*']),
      ],
    },
  } as never)
  const as = (name: string) => connect({ auth: { token: `${name}-0123456789abcdef` } })
  const [admin, writer, reader] = await Promise.all([as('admin'), as('writer'), as('reader')])
  const other = await as('other')
  const send = (peer: string) => ({ channel: 'scripted', peer, text: 'hi' })
  t.match(await writer.call('channels.send', send('9')), { sessionKey: 'scripted:9:main' })
  t.match(await writer.refused('channels.send', send('8')), { code: 'FORBIDDEN' })
  t.match(await reader.refused('channels.send', send('9')), { code: 'FORBIDDEN' })
  t.match(await writer.refused('channels.stop', { channel: 'scripted' }), { code: 'FORBIDDEN' })
  await connector.receive('let me in')
  const { pairings } = await admin.call('pairing.list', { state: 'pending' })
  t.match(pairings, [{ peer: '7', code: /^\w{8}$/ }])
  t.match(await reader.call('pairing.list', {}), { pairings: [{ peer: '7', code: null }] })
  t.strictSame(await writer.call('pairing.list', {}), { pairings: [] })
  t.match(await reader.refused('pairing.approve', { channel: 'scripted', peer: '7' }), { code: 'FORBIDDEN' })
  t.match(await other.refused('pairing.approve', { code: pairings[0].code }), { code: 'FORBIDDEN' })
  t.match(await other.refused('channels.stop', { channel: 'scripted' }), { code: 'FORBIDDEN' })
  await admin.event('pairing.requested')
  t.notOk(reader.events().some(({ event }) => event.startsWith('pairing.')))
  t.match(await admin.refused('pairing.approve', { peer: '7' }), { code: 'INVALID_REQUEST' })
  t.match(await admin.refused('pairing.approve', { code: '00000000' }), { code: 'NOT_FOUND' })
  await admin.call('pairing.approve', { channel: 'scripted', peer: '7' })
  t.match(await admin.call('pairing.list', { state: 'approved' }), { pairings: [{ approvedBy: 'admin' }] })
  t.strictSame(await admin.call('pairing.reject', { channel: 'scripted', peer: '7' }), { rejected: true })
  t.match(await admin.call('pairing.list', {}), { pairings: [{ peer: '7', state: 'rejected', code: null }] })
})
