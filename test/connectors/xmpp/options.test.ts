import t from 'tap'
import { ConfigError } from '../../../src/config/problems.js'
import { createXmppConnector } from '../../../src/connectors/xmpp/xmpp.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext } from '../../helpers/connector-host.js'

/** The paths of what is wrong, and all of it as text. */
function problems(options: JsonObject, env: NodeJS.ProcessEnv = {}) {
  try {
    createXmppConnector({ jid: 'lurk@example.org', ...options }, connectorContext({ env }))
    return { paths: [], text: '' }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { paths: error.problems.map(({ path }) => path), text: error.message }
  }
}

t.test('an account and a password suffice', async (t) => {
  t.same(problems({ password: 'x' }).paths, [])
  t.same(problems({ passwordEnv: 'P' }, { P: 'x' }).paths, [])
  t.same(problems({ password: 'x', service: 'xmpps://[::1]:5223' }).paths, [])
})

t.test('every problem names its path', async (t) => {
  t.same(problems({}).paths, ['passwordEnv'])
  t.same(problems({ jid: 'lurk', password: 'x', sevice: 'x' }).paths.sort(), ['jid', 'sevice'])
  t.same(problems({ jid: "l'>@x", password: 'x' }).paths, ['jid'])
  for (const service of ['example.org', 'ws://example.org', 'xmpp://a:b@example.org', 'xmpp:']) {
    t.same(problems({ password: 'x', service }).paths, ['service'], service)
  }
  t.same(problems({ password: 'x', allowInsecure: true }).paths, ['allowInsecure'])
  t.same(problems({ password: 'x', allowInsecure: true, service: 'xmpps://x' }).paths, ['allowInsecure'])
  const rooms = [{ jid: 'a@rooms.example.org' }, { jid: 'A@rooms.example.org', passwordEnv: 'BAD' }]
  t.same(problems({ password: 'x', rooms }, { BAD: 'a\nb' }).paths, ['rooms[1].passwordEnv', 'rooms[1].jid'])
})

t.test('no problem shows a secret', async (t) => {
  const wrong = problems({ password: 'hunter2\n', passwordEnv: 'hunter2 itself' })
  t.same(wrong.paths.sort(), ['password', 'passwordEnv'])
  t.notMatch(wrong.text, /hunter2/)
})
