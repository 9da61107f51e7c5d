import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ConfigError, type Problem } from '../../../src/config/problems.js'
import { TelegramOptions } from '../../../src/connectors/telegram/options.js'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext } from '../../helpers/connector-host.js'

async function problemsOf(options: JsonObject, env: NodeJS.ProcessEnv = {}): Promise<readonly Problem[]> {
  try {
    await createTelegramConnector(options, connectorContext({ env }))
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('every problem is named at once', async (t) => {
  const problems = await problemsOf({
    token: 'a b',
    edits: 'yes',
    pollTimeoutS: 60,
    webhookUrl: 7,
    apiroot: 'x',
  })
  t.strictSame(Object.fromEntries(problems.map(({ path, message }) => [path, message])), {
    token: 'expected a token as @BotFather gives it, found text (not shown)',
    edits: 'expected ignore or message, found "yes"',
    pollTimeoutS: 'expected an integer from 0 to 50 (s), found 60',
    webhookUrl:
      'expected an http or https URL such as https://gateway.example.com/channels/telegram, found 7',
    apiroot: "unknown option; did you mean 'apiRoot'?",
  })
})

t.test('each option is documented', async (t) => {
  const page = await readFile('docs/channels/telegram.md', 'utf8')
  for (const name of Object.keys(TelegramOptions.properties)) t.match(page, `| \`${name}\` |`)
})

t.test('a token is needed, and never shown', async (t) => {
  const token = '1:0123456789'
  t.match(await problemsOf({}), [{ path: 'tokenEnv', message: /token/ }])
  t.strictSame(await problemsOf({ token }), [])
  t.strictSame(await problemsOf({ tokenEnv: 'T' }, { T: `${token}\n` }), [])
  const cases: [JsonObject, NodeJS.ProcessEnv, string][] = [
    [{ token: `${token}/x` }, {}, 'token'],
    [{ tokenEnv: token }, {}, 'tokenEnv'],
    [{ tokenEnv: 'T' }, { T: `${token} x` }, 'tokenEnv'],
    [{ tokenEnv: 'T', token }, {}, 'token'],
  ]
  for (const [options, env, path] of cases) {
    const problems = await problemsOf(options, env)
    t.match(problems, [{ path }])
    t.notMatch(JSON.stringify(problems), token)
  }
})

t.test('the addresses are ones of http, without secrets', async (t) => {
  const token = '1:x'
  for (const url of ['api.telegram.org', 'ftp://host', '']) {
    t.match(await problemsOf({ token, apiRoot: url }), [{ path: 'apiRoot', message: /http or https/ }])
    t.match(await problemsOf({ token, webhookUrl: url }), [{ path: 'webhookUrl', message: /http or https/ }])
  }
  const [problem] = await problemsOf({ token, apiRoot: 'http://me:pass@host' })
  t.match(problem, { message: /no credentials/ })
  t.match(await problemsOf({ token, apiRoot: 'http://host?x=1' }), [{ message: /no query/ }])
  t.strictSame(await problemsOf({ token, apiRoot: 'http://host/bots/' }), [])
})
