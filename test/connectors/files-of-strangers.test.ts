import t from 'tap'
import { startApp } from '../helpers/app.js'
import { discordServer } from '../helpers/discord-server.js'
import { slackServer } from '../helpers/slack-server.js'
import { GROUP, messageOf, TelegramApi, TOKEN } from '../helpers/telegram-api.js'
import { until } from '../helpers/until.js'

/** A gateway with one connector, and how often something became of a message there. */
async function connected(t: Parameters<typeof startApp>[0], connector: Record<string, unknown>) {
  const { app, url, connect } = await startApp(t, { connectors: { mine: connector as { type: string } } })
  const channel = String(connector.type)
  await until(() => app.channels.get(channel)!.ready)
  const outcomes = async (outcome: string) => {
    const text = await (await fetch(`${url}/metrics`)).text()
    const line = `gateway_channel_messages_total{channel="${channel}",outcome="${outcome}"} `
    return Number(text.split(line)[1]?.split('\n', 1)[0] ?? 0)
  }
  return { outcomes, connect }
}

t.test('Telegram’s files of strangers, and of what is not meant for us, are not downloaded', async (t) => {
  const api = await TelegramApi.start(t)
  api.files.set('f', Buffer.from('x'))
  const options = { type: 'telegram', apiRoot: api.url, token: TOKEN, allow: ['42', String(GROUP.id)] }
  const { outcomes } = await connected(t, options)
  const document = { document: { file_id: 'f', file_name: 'a.txt' } }
  const stranger = { id: 43, is_bot: false, first_name: 'Eve' }
  const theirs = { chat: { id: 43, type: 'private', first_name: 'Eve' }, from: stranger }
  api.say('message', messageOf('take this', { ...document, ...theirs }))
  await until(async () => (await outcomes('not_allowed')) === 1)
  api.say('message', messageOf('to all', { ...document, chat: GROUP }))
  await until(async () => (await outcomes('not_mentioned')) === 1)
  t.strictSame(api.callsOf('getFile'), [])
  api.say('message', messageOf('take this', document))
  await until(async () => (await outcomes('accepted')) === 1)
  t.equal(api.callsOf('getFile').length, 1)
})

t.test('Slack’s files of strangers are not downloaded, nor is anybody’s name asked for', async (t) => {
  const server = await slackServer(t)
  server.files.set('/files/a', { type: 'text/plain', bytes: Buffer.from('x') })
  const { botToken, appToken, apiUrl } = server
  const { outcomes } = await connected(t, { type: 'slack', botToken, appToken, apiUrl, allow: ['U1'] })
  const files = [{ name: 'a', mimetype: 'text/plain', url_private: `${server.url}/files/a`, size: 1 }]
  const named = () =>
    server.calls.flatMap(({ method, fields }) => (method === 'users.info' ? [fields.user] : []))
  await server.say({ user: 'U9', text: 'from me and <@U2>', files }).acknowledged
  t.equal(await outcomes('not_allowed'), 1)
  t.strictSame(server.fileRequests, [])
  t.strictSame(named(), [])
  await server.say({ user: 'U1', text: 'hi <@U2>', files }).acknowledged
  t.equal(await outcomes('accepted'), 1)
  t.equal(server.fileRequests.length, 1)
  t.strictSame(named().sort(), ['U1', 'U2'])
})

t.test('Slack is asked for the name of a stranger who is told a code', async (t) => {
  const server = await slackServer(t)
  const { botToken, appToken, apiUrl } = server
  const { outcomes, connect } = await connected(t, { type: 'slack', botToken, appToken, apiUrl })
  await server.say({ user: 'U1', text: 'hi' }).acknowledged
  t.equal(await outcomes('not_paired'), 1)
  const { pairings } = await (await connect()).call('pairing.list')
  t.match(pairings, [{ peer: 'U1', name: 'Ada' }])
})

t.test('Discord’s files of strangers are not downloaded', async (t) => {
  const server = await discordServer(t)
  server.files.set('/files/a', { type: 'text/plain', bytes: Buffer.from('x') })
  const { token, apiUrl } = server
  const { outcomes } = await connected(t, { type: 'discord', token, apiUrl, allow: ['7'] })
  const attachments = [{ filename: 'a', size: 1, url: `${server.url}/files/a` }]
  server.say({ author: { id: '9', username: 'eve' }, attachments })
  await until(async () => (await outcomes('not_allowed')) === 1)
  t.strictSame(server.fileRequests, [])
  server.say({ author: { id: '7', username: 'ada' }, attachments })
  await until(async () => (await outcomes('accepted')) === 1)
  t.equal(server.fileRequests.length, 1)
})
