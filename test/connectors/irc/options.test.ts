import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ConfigError } from '../../../src/config/problems.js'
import { createIrcConnector } from '../../../src/connectors/irc/irc.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext } from '../../helpers/connector-host.js'

const minimal = { host: 'irc.example.org', nick: 'lurk' }

/** The paths of what is wrong, and all of it as text. */
function problems(options: JsonObject, overrides: Parameters<typeof connectorContext>[0] = {}) {
  try {
    createIrcConnector({ ...minimal, ...options }, connectorContext(overrides))
    return { paths: [], text: '' }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { paths: error.problems.map(({ path }) => path), text: error.message }
  }
}

t.test('a host and a nick suffice', async (t) => {
  t.same(problems({}).paths, [])
})

t.test('every problem names its path', async (t) => {
  t.same(problems({ host: 'irc://x', nick: '1st', prot: 1 }).paths.sort(), ['host', 'nick', 'prot'])
  t.same(problems({ channels: ['#a b'] }).paths, ['channels[0]'])
  t.same(problems({ channels: ['#a,#b'] }).paths, ['channels[0]'])
  t.same(problems({ channelKeys: { '#a': 'k' } }).paths, ['channelKeys["#a"]'])
  t.same(problems({ sasl: { account: 'lurk' } }).paths, ['sasl.passwordEnv'])
  t.same(problems({ pingTimeoutMs: 1000 }).paths, ['pingTimeoutMs'])
  t.same(problems({ realname: 'a\r\nQUIT' }).paths, ['realname'])
  t.same(problems({ password: 'x', passwordEnv: 'P' }, { env: { P: 'y' } }).paths, ['password'])
})

t.test('no problem shows a secret', async (t) => {
  const wrong = problems(
    {
      passwordEnv: 'hunter2 itself',
      sasl: { account: 'lurk', password: 'hunter2\nQUIT' },
    },
    {},
  )
  t.same(wrong.paths, ['passwordEnv', 'sasl.password'])
  t.notMatch(wrong.text, /hunter2/)
  const inside = problems(
    { passwordEnv: 'P', channels: ['#a'], channelKeys: { '#a': 'key, hunter2' } },
    { env: { P: 'hunter2\nQUIT' } },
  )
  t.same(inside.paths, ['passwordEnv', 'channelKeys["#a"]'])
  t.notMatch(inside.text, /hunter2/)
})

t.test('a file of authorities has to be one', async (t) => {
  const baseDir = t.testdir()
  writeFileSync(join(baseDir, 'bad.pem'), 'no PEM')
  t.same(problems({ ca: 'missing.pem' }, { baseDir }).paths, ['ca'])
})
