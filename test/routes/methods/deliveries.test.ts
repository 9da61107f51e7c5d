import t, { type Test } from 'tap'
import { GatewayError } from '../../../src/protocol/errors.js'
import { startWithChannel } from '../../helpers/channel-app.js'
import type { TestSocket } from '../../helpers/socket.js'

type Overrides = Parameters<typeof startWithChannel>[1]

/** A gateway that answers everything on a channel which takes nothing. */
async function startRefusing(t: Test, overrides: Overrides = {}) {
  const running = await startWithChannel(t, overrides, { onRun: (run) => run.reply() })
  running.channel.onSend = () => {
    throw new GatewayError('FORBIDDEN', 'blocked by the user')
  }
  return running
}

const listed = async (socket: TestSocket, params: object = {}, key?: string) => {
  const { deliveries, nextCursor } = await socket.call('deliveries.list', params, key)
  return { texts: deliveries.map(({ text }: { text: string }) => text), nextCursor }
}

for (const type of ['memory', 'sqlite'] as const) {
  t.test(
    `dead deliveries are listed page by page, of all or of a session or channel (${type})`,
    async (t) => {
      const { say, connect } = await startRefusing(t, { journal: { type } })
      const socket = await connect()
      const asked = []
      for (const [n, peer] of ['1', '2', '1', '2', '1'].entries()) {
        asked.push(await say(`${n}`, '7', `chat:${peer}:main`))
        await socket.all(n + 1, ({ event }) => event === 'delivery.failed')
      }
      t.strictSame(await listed(socket), {
        texts: ['re: 0', 're: 1', 're: 2', 're: 3', 're: 4'],
        nextCursor: null,
      })
      const first = await listed(socket, { limit: 2 })
      t.strictSame(first.texts, ['re: 0', 're: 1'])
      t.strictSame((await listed(socket, { limit: 2, cursor: first.nextCursor })).texts, ['re: 2', 're: 3'])
      t.strictSame((await listed(socket, {}, 'chat:2:main')).texts, ['re: 1', 're: 3'])
      t.strictSame((await listed(socket, { channel: 'chat' })).texts.length, 5)
      t.strictSame((await listed(socket, { channel: 'other' })).texts, [])
      const { deliveries } = await socket.call('deliveries.list', { limit: 1 })
      const { deliveryId, at, diedAt, ...rest } = deliveries[0]
      t.match(deliveryId, /^dlv_/)
      t.ok(diedAt >= at)
      t.strictSame(rest, {
        channel: 'chat',
        peer: '1',
        thread: null,
        sessionKey: 'chat:1:main',
        text: 're: 0',
        attachments: [],
        runId: asked[0]!.runId,
        replyTo: '7',
        partsSent: 0,
        attempts: 1,
        error: { code: 'FORBIDDEN', message: 'blocked by the user', details: null, retryable: false },
      })
      const failed = socket.events().find(({ event }) => event === 'delivery.failed')!
      t.match(failed, { sessionKey: 'chat:1:main', seq: Number, payload: { deliveryId, attempts: 1 } })
    },
  )
}

t.test('a dead delivery is retried or discarded, once', async (t) => {
  const { say, connect, channel } = await startRefusing(t)
  const socket = await connect()
  await say('hello')
  const { payload } = await socket.event('delivery.failed')
  const { deliveryId } = payload
  channel.onSend = () => {}
  const both = await Promise.all([
    socket.request('deliveries.retry', { deliveryId }),
    socket.request('deliveries.retry', { deliveryId }),
  ])
  t.strictSame(both.map(({ error }) => error?.code ?? 'OK').sort(), ['NOT_FOUND', 'OK'])
  t.strictSame(both.find(({ error }) => error === null)?.result, { deliveryId, queued: 0 })
  await socket.event('delivery.sent', (frame) => frame.payload.deliveryId === deliveryId)
  t.strictSame(channel.texts, ['re: hello'])
  channel.onSend = () => {
    throw new GatewayError('FORBIDDEN', 'no')
  }
  await say('again')
  const [, second] = await socket.all(2, ({ event }) => event === 'delivery.failed')
  const id = { deliveryId: second!.payload.deliveryId }
  t.strictSame(await socket.call('deliveries.discard', id), { discarded: true })
  t.strictSame((await listed(socket)).texts, [])
  for (const method of ['deliveries.discard', 'deliveries.retry']) {
    t.match(await socket.refused(method, id), { code: 'NOT_FOUND', details: id }, method)
  }
})

t.test(
  'a token that is confined to some sessions sees and touches the deliveries of those alone',
  async (t) => {
    const secret = (name: string) => `${name}-token-0123456789`
    const tokens = [
      { name: 'admin', token: secret('admin'), role: 'admin' as const },
      { name: 'confined', token: secret('confined'), role: 'admin' as const, sessions: ['chat:2:*'] },
    ]
    const { connect } = await startRefusing(t, { auth: { enabled: true, tokens } })
    const admin = await connect({ auth: { token: secret('admin') } })
    const confined = await connect({ auth: { token: secret('confined') } })
    for (const key of ['chat:1:main', 'chat:2:main']) {
      const event = { type: 'message.received', source: 'chat', payload: { content: key } }
      await admin.call('events.publish', event, key)
    }
    const failed = await admin.all(2, ({ event }) => event === 'delivery.failed')
    t.strictSame((await listed(confined)).texts, ['re: chat:2:main'])
    t.match(await confined.refused('deliveries.list', {}, 'chat:1:main'), { code: 'FORBIDDEN' })
    const theirs = failed.find(({ sessionKey }) => sessionKey === 'chat:1:main')!
    for (const method of ['deliveries.retry', 'deliveries.discard']) {
      const params = { deliveryId: theirs.payload.deliveryId }
      t.match(await confined.refused(method, params), { code: 'NOT_FOUND' }, method)
    }
    t.notOk(confined.events().some(({ sessionKey }) => sessionKey === 'chat:1:main'))
  },
)
