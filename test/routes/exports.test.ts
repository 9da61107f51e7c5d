import t from 'tap'
import { startApp } from '../helpers/app.js'
import type { Frame } from '../helpers/socket.js'

const KEY = 'web:1/a b:main'.replace(' ', 'ü')

t.test('a session is exported over HTTP to those who may see it', async (t) => {
  const tokens = [
    { name: 'all', token: 'token-of-all-0123456789', role: 'admin' as const },
    { name: 'some', token: 'token-of-some-0123456789', role: 'viewer' as const, sessions: ['irc:*'] },
    { name: 'agent', token: 'token-of-agent-0123456789', role: 'agent' as const },
  ]
  const { app, connect } = await startApp(t, { journal: { type: 'sqlite' }, auth: { enabled: true, tokens } })
  const socket = await connect({ auth: { token: tokens[0]!.token } })
  for (let n = 0; n < 30; n++) await socket.call('sessions.send', { content: `m${n}`, wait: true }, KEY)
  const get = (path: string, token?: string) =>
    app.inject({ url: path, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })
  const url = `/sessions/${encodeURIComponent(KEY)}/export`
  const response = await get(url, tokens[0]!.token)
  t.match(response, { statusCode: 200, headers: { 'content-type': /^application\/x-ndjson/ } })
  const lines = response.body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Frame)
  t.match(lines[0], { type: 'session', key: KEY })
  const { messages } = await socket.call('sessions.history', { limit: 500 }, KEY)
  t.same(
    lines.slice(1),
    messages.map((message: Frame) => Object.assign({ type: 'message' }, message)),
  )
  t.equal((await get(`/sessions/${KEY.replace('ü', '%C3%BC')}/export`, tokens[0]!.token)).body, response.body)

  t.equal((await get(url)).statusCode, 401)
  t.equal((await get(url, tokens[1]!.token)).statusCode, 403)
  t.equal((await get(url, tokens[2]!.token)).statusCode, 403)
  t.equal((await get('/sessions/web:none/export', tokens[0]!.token)).statusCode, 404)
  t.equal((await get('/sessions/web:none', tokens[0]!.token)).statusCode, 404)
})
