import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { configuration, judgeRisks } from '../../src/doctor/configuration.js'
import { tokens } from '../../src/doctor/tokens.js'
import { type ConfigOverrides, testConfig } from '../helpers/app.js'
import { contextOf, loadedOf, run, told } from './context.js'

const SOUND: ConfigOverrides = {
  journal: { type: 'sqlite' },
  rateLimit: { http: { max: 100 }, upgrades: { max: 100 } },
}
const risks = (config: ConfigOverrides) => told([...judgeRisks(testConfig({ ...SOUND, ...config }))])

t.test('a configuration without problems and risks is told to be valid', async (t) => {
  const found = told(await run(configuration, await contextOf(t, SOUND)))
  t.match(found, [/^ok: It is valid \(there is no file\)/])
})

t.test('its problems are those of config check, but for what another check tells', async (t) => {
  const problems = [
    { path: 'lanes.capacity', source: 'environment X', message: 'expected a number' },
    { path: 'tls.cert', message: 'expected a file' },
  ]
  const found = await run(configuration, await contextOf(t, SOUND, { problems }))
  t.match(told(found), ['error: lanes.capacity: expected a number (environment X)'])
  t.match(found[0]!.remedy, /config check/)
})

t.test('each risky choice is told', (t) => {
  t.match(risks({ trustProxy: ['127.0.0.1'], auth: { enabled: false } }), [
    /^warning: Authentication is off, and behind a proxy/,
  ])
  t.match(risks({ host: '0.0.0.0' }), [/^warning: Tokens travel unencrypted/, /^warning: \/metrics is open/])
  t.same(risks({ host: '0.0.0.0', tls: { enabled: true }, metrics: { auth: true } }), [])
  t.match(risks({ trustProxy: true, auth: { enabled: true } }), [/^warning: trustProxy is true/])
  t.match(risks({ journal: { type: 'memory' } }), [/^warning: journal\.type is memory/])
  t.match(risks({ log: { level: 'trace' } }), [/^info: log\.level is trace/])
  t.match(risks({ rateLimit: { http: { max: 0 } } }), [/^info: There is no limit: rateLimit\.http/])
  const connectors = { tg: { type: 'telegram', allow: ['*'] }, hook: { type: 'webhook', allow: ['*'] } }
  t.match(risks({ connectors }), [/^warning: connectors\.tg\.allow has '\*'/])
  t.end()
})

const strong = 'uJ3kq0Zr8VbnQ2xLw7TyEc5aHdMfPgSo'

t.test('strong tokens are good, and weak ones are told without being shown', async (t) => {
  t.match(told(await run(tokens, await contextOf(t, { auth: { tokens: [strong] } }))), [/^ok: .*the 1 of/])
  t.match(told(await run(tokens, await contextOf(t))), [/^info: Authentication is off/])
  const repeating = 'a'.repeat(28)
  const weak = ['token1', 'your-token-here', 'short-one-x1', repeating, { name: 'ci', token: 'changeme' }]
  const open = await contextOf(t, { host: '0.0.0.0', auth: { tokens: weak } })
  const found = told(await run(tokens, open))
  t.match(found, [
    'error: auth.tokens[0] is a sample value that everyone knows.',
    'error: auth.tokens[1] is a sample value that everyone knows.',
    'error: auth.tokens[2] has fewer than 16 characters.',
    'error: auth.tokens[3] is easily guessed: its characters repeat.',
    'error: auth.tokens[4] (ci) is a sample value that everyone knows.',
  ])
  t.notMatch(JSON.stringify(found), /token1|your-token|short-one|aaaa|changeme/)
  const loopback = await contextOf(t, { auth: { tokens: ['short-one-x1'] } })
  t.match(told(await run(tokens, loopback)), [/^warning: /])
})

t.test('tokens in a file that others may read are told, and the file is closed on request', async (t) => {
  const context = await contextOf(t)
  const file = join(context.home, 'config.yaml')
  writeFileSync(file, 'auth: {tokens: [x]}', { mode: 0o644 })
  const loaded = {
    ...loadedOf(context.home, { auth: { tokens: [strong] } }, file),
    sources: new Map([['auth.tokens', `${file}:1`]]),
  }
  t.match(await run(tokens, { ...context, loaded }), [
    {
      severity: 'error',
      message: /others may read it \(mode 644\)/,
      remedy: `chmod 600 '${file}'`,
      fixable: true,
    },
  ])
  await run(tokens, { ...context, loaded, fix: true })
  t.match(told(await run(tokens, { ...context, loaded })), [/^ok/])
})

t.test('issued tokens that have expired are named', async (t) => {
  const inspectJournal = async () => ({ facts: { expiredTokens: ['old-ci'] } }) as never
  const context = await contextOf(t, { auth: { tokens: [strong] } }, { inspectJournal })
  t.match(await run(tokens, context), [{ severity: 'info', remedy: 'lurkbot token revoke old-ci' }])
})
