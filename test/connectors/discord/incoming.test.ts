import t from 'tap'
import { until } from '../../helpers/until.js'
import { connected } from './helpers.js'

const bob = { id: '8', username: 'bob', global_name: null, discriminator: '0' }

t.test('a direct message comes in as text with the name of its sender', async (t) => {
  const { server, host } = await connected(t)
  t.equal(host.identity, '@lurkbot')
  const id = server.say({ content: 'ask <@8> or <@!9> **now** <a:wave:123>', mentions: [bob] })
  await until(() => host.received.length === 1)
  t.strictSame(host.received, [
    {
      peer: '500',
      thread: null,
      id,
      sender: { id: '7', name: 'Ada' },
      group: false,
      mentioned: false,
      text: 'ask @bob or <@!9> **now** :wave:',
      at: Date.parse('2026-01-02T03:04:05.678Z'),
    },
  ])
})

t.test('in a server what names us or answers us is for us', async (t) => {
  const { server, host } = await connected(t)
  const guild = { channel_id: '600', guild_id: '900', member: { nick: 'Countess' } }
  server.say({ ...guild, content: '<@100>, help', mentions: [server.me] })
  server.say({ ...guild, content: 'and this?', type: 19, referenced_message: { author: server.me } })
  server.say({ ...guild, content: 'not for you', type: 19, referenced_message: { author: bob } })
  server.say({ ...guild, content: '@everyone', mention_everyone: true, referenced_message: null })
  await until(() => host.received.length === 4)
  t.strictSame(
    host.received.map(({ text, mentioned, group, peer, thread }) => [text, mentioned, group, peer, thread]),
    [
      ['help', true, true, '600', null],
      ['and this?', true, true, '600', null],
      ['not for you', false, true, '600', null],
      ['@everyone', false, true, '600', null],
    ],
  )
  t.match(host.received[0], { sender: { id: '7', name: 'Countess' }, metadata: { guildId: '900' } })
})

t.test('what no person wrote is ignored', async (t) => {
  const { server, host } = await connected(t)
  server.say({ content: 'mine', author: server.me })
  server.say({ content: 'a bot', author: { ...bob, bot: true } })
  server.say({ content: 'a webhook', webhook_id: '3' })
  server.say({ content: 'pinned', type: 6 })
  server.dispatch('MESSAGE_UPDATE', { id: '1', channel_id: '500', content: 'edited' })
  server.dispatch('MESSAGE_CREATE', { id: '1' })
  server.dispatch('MESSAGE_CREATE', null)
  server.say({ content: 'a person' })
  await until(() => host.received.length > 0)
  t.strictSame(
    host.received.map(({ text }) => text),
    ['a person'],
  )
})

t.test('frames of another shape do no harm', async (t) => {
  const { server, host } = await connected(t)
  for (const frame of [
    '',
    'null',
    '{',
    '[]',
    '{"op":"x"}',
    '{"op":10}',
    '{"op":0,"t":"READY","s":1,"d":{}}',
  ]) {
    server.sendRaw(frame)
  }
  server.say({ content: 'still there' })
  await until(() => host.received.length > 0)
  t.equal(host.received[0]!.text, 'still there')
})

t.test('attachments come in with their content, up to the limit, and without the token', async (t) => {
  const { server, host } = await connected(t)
  server.files.set('/files/a.txt', { type: 'text/plain', bytes: Buffer.from('hello') })
  server.files.set('/files/big', { type: 'image/png', bytes: Buffer.alloc(1_001) })
  const file = {
    id: '1',
    filename: 'a.txt',
    content_type: 'text/plain',
    size: 5,
    url: `${server.url}/files/a.txt`,
  }
  server.say({
    attachments: [
      file,
      { ...file, size: 1_001 },
      { ...file, filename: 'b', content_type: null, url: `${server.url}/files/big` },
      { ...file, url: 'nonsense' },
    ],
  })
  await until(() => host.received.length > 0)
  t.strictSame(host.received[0]!.attachments, [
    { type: 'text/plain', name: 'a.txt', data: Buffer.from('hello').toString('base64') },
    { type: 'text/plain', name: 'a.txt', url: file.url },
    { type: 'application/octet-stream', name: 'b', url: `${server.url}/files/big` },
    { type: 'text/plain', name: 'a.txt', url: 'nonsense' },
  ])
  t.strictSame(new Set(server.fileRequests.map(({ authorization }) => authorization)), new Set([undefined]))
})

t.test('messages of one channel stay in order, whatever has to be fetched first', async (t) => {
  const { server, host } = await connected(t)
  server.files.set('/files/a', { type: 'text/plain', bytes: Buffer.from('hello') })
  const attachments = [{ filename: 'a', size: 5, url: `${server.url}/files/a` }]
  for (let i = 0; i < 20; i++) server.say({ content: `${i}`, ...(i % 3 === 0 && { attachments }) })
  await until(() => host.received.length === 20)
  t.strictSame(
    host.received.map(({ text }) => Number(text)),
    Array.from({ length: 20 }, (_, i) => i),
  )
})
