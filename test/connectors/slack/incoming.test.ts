import t from 'tap'
import { until } from '../../helpers/until.js'
import { connected } from './helpers.js'

t.test('a direct message comes in as plain text with the name of its sender', async (t) => {
  const { server, host } = await connected(t)
  t.equal(host.identity, '@lurkbot (Lab)')
  const { ts, acknowledged } = server.say({
    text: 'a &lt;b&gt; &amp;amp; <@U2> in <#C2|general>: <https://x.y/z|z> <https://x.y> <mailto:a@b.c|a@b.c> <!here>',
  })
  await acknowledged
  t.strictSame(host.received, [
    {
      peer: 'D1',
      thread: null,
      id: ts,
      sender: { id: 'U1', name: 'Ada' },
      group: false,
      mentioned: false,
      text: 'a <b> &amp; @bob in #general: z (https://x.y/z) https://x.y a@b.c @here',
      at: Math.floor(Number(ts) * 1000),
      metadata: { channelType: 'im' },
    },
  ])
})

t.test('a mention in a channel begins a thread, and what follows there needs none', async (t) => {
  const { server, host } = await connected(t)
  const channel = { channel: 'C1', channel_type: 'channel' }
  const first = server.say({ ...channel, text: '<@UBOT>: help me' })
  await first.acknowledged
  const second = server.say({ ...channel, text: 'and this?', thread_ts: first.ts })
  const third = server.say({ ...channel, text: 'not for you' })
  const fourth = server.say({ ...channel, text: 'to yours', thread_ts: '1.2', parent_user_id: 'UBOT' })
  const fifth = server.say({ ...channel, text: undefined, files: [] })
  await Promise.all([second, third, fourth, fifth].map(({ acknowledged }) => acknowledged))
  t.strictSame(
    host.received.map(({ thread, mentioned, text, group }) => ({ thread, mentioned, text, group })),
    [
      { thread: first.ts, mentioned: true, text: 'help me', group: true },
      { thread: first.ts, mentioned: true, text: 'and this?', group: true },
      { thread: third.ts, mentioned: false, text: 'not for you', group: true },
      { thread: '1.2', mentioned: true, text: 'to yours', group: true },
      { thread: fifth.ts, mentioned: false, text: '', group: true },
    ],
  )
})

t.test('a thread in which we have spoken is ours', async (t) => {
  const { server, host } = await connected(t)
  await host.send({ peer: 'C1', thread: '1.000200' }, 'hello')
  await server.say({ channel: 'C1', channel_type: 'channel', text: 'yes?', thread_ts: '1.000200' })
    .acknowledged
  t.equal(host.received[0]!.mentioned, true)
})

t.test('a thread that has a session from before a restart is ours, another one is not', async (t) => {
  const { server, host } = await connected(t)
  host.knows = async ({ peer, thread }) => peer === 'C1' && thread === '1.000200'
  const say = (thread_ts: string) =>
    server.say({ channel: 'C1', channel_type: 'channel', text: 'and then?', thread_ts }).acknowledged
  await say('1.000200')
  await say('1.000300')
  t.strictSame(
    host.received.map(({ mentioned }) => mentioned),
    [true, false],
  )
})

t.test('without threads a channel is one conversation, and a thread still one of its own', async (t) => {
  const { server, host } = await connected(t, { threads: false })
  await server.say({ channel: 'G1', channel_type: 'mpim', text: '<@UBOT> hi' }).acknowledged
  await server.say({ channel: 'G1', channel_type: 'mpim', text: '<@UBOT> hi', thread_ts: '1.2' }).acknowledged
  await server.say({ text: 'in a thread', thread_ts: '1.3' }).acknowledged
  t.strictSame(
    host.received.map(({ thread, group }) => [thread, group]),
    [
      [null, true],
      ['1.2', true],
      ['1.3', false],
    ],
  )
})

t.test('a mention that comes as two events has one id', async (t) => {
  const { server, host } = await connected(t)
  const ts = server.ts()
  const mention = { channel: 'C1', text: '<@UBOT> hi', ts }
  const both = [
    server.say({ ...mention, channel_type: 'channel' }),
    server.say({ ...mention, type: 'app_mention', channel_type: undefined }),
  ]
  await Promise.all(both.map(({ acknowledged }) => acknowledged))
  t.strictSame(new Set(host.received.map(({ id, thread }) => `${id} ${thread}`)), new Set([`${ts} ${ts}`]))
})

t.test('what no person wrote is acknowledged and ignored', async (t) => {
  const { server, host } = await connected(t)
  await Promise.all([
    server.say({ user: 'UBOT', text: 'mine' }).acknowledged,
    server.say({ bot_id: 'B2', text: 'another bot' }).acknowledged,
    server.say({ subtype: 'message_changed', text: 'edited' }).acknowledged,
    server.say({ subtype: 'channel_join', text: 'joined' }).acknowledged,
    server.dispatch({ event: { type: 'reaction_added', user: 'U1' } }),
    server.dispatch({ command: '/lurk', text: 'x' }, 'slash_commands'),
    server.dispatch({ type: 'block_actions' }, 'interactive'),
  ])
  t.strictSame(host.received, [])
})

t.test('frames of another shape do no harm', async (t) => {
  const { server, host } = await connected(t)
  for (const frame of [
    '',
    'null',
    '{',
    '[]',
    '{"type":"events_api"}',
    '{"type":"events_api","payload":null}',
  ]) {
    server.sendRaw(frame)
  }
  await server.say({ text: 'still there' }).acknowledged
  t.equal(host.received[0]!.text, 'still there')
})

t.test('it is acknowledged only once it was taken; what was not comes again', async (t) => {
  const { server, host } = await connected(t)
  server.ackTimeoutMs = 30
  let taken = () => {}
  const accept = host.answer
  host.answer = (message) => {
    if (message.text !== 'important') return accept(message)
    if (host.received.length === 1) throw new Error('no room')
    return new Promise((resolve) => {
      taken = () => resolve(accept(message))
    })
  }
  const { ts, acknowledged } = server.say({ text: 'important' })
  await until(() => host.received.length === 2)
  // While it is in hand, coming again does not make it two.
  const twin = server.say({ text: 'important', ts }).acknowledged
  await server.say({ channel: 'D2', text: 'of another' }).acknowledged
  t.equal(server.unacknowledged, 2)
  taken()
  await Promise.all([acknowledged, twin])
  t.equal(server.unacknowledged, 0)
  t.strictSame(
    host.received.map(({ text }) => text),
    ['important', 'important', 'of another'],
  )
  t.equal(host.received[1]!.id, host.received[0]!.id)
})

t.test('messages of one channel stay in order, whatever has to be asked for first', async (t) => {
  const { server, host } = await connected(t)
  const said = Array.from({ length: 20 }, (_, i) =>
    server.say({ text: `${i}`, ...(i % 3 === 0 && { user: `U9${i}`, text: `${i} <@U8${i}>` }) }),
  )
  await Promise.all(said.map(({ acknowledged }) => acknowledged))
  t.strictSame(
    host.received.map(({ text }) => Number.parseInt(text, 10)),
    said.map((_, i) => i),
  )
  t.strictSame(host.received[3]!.sender, { id: 'U93', name: 'U93' })
  t.equal(host.received[3]!.text, '3 @U83')
})

t.test('a name is asked for once', async (t) => {
  const { server } = await connected(t)
  for (let i = 0; i < 3; i++) await server.say({ text: 'hi' }).acknowledged
  t.equal(server.calls.filter(({ method }) => method === 'users.info').length, 1)
})
