import t from 'tap'
import { ConfigError, EX_CONFIG, formatProblems } from '../../src/config/problems.js'
import { type Given, problemsOf } from './helpers.js'

t.test(
  'everything wrong in file, environment and flags is reported at once, with path and source',
  async (t) => {
    const problems = await problemsOf(t, {
      files: {
        'config.yaml': [
          'prot: 80',
          'lanes:',
          '  capacity: 0',
          '  retry:',
          '    attempts: "3"',
          'routing:',
          '- agent: ""',
          '- channel: irc',
          '  agent: helper',
          '  extra: 1',
          'agents:',
          '  bad name: { type: echo }',
          '  also bad: { type: echo }',
          '  helper: { model: x }',
          'log: verbose',
        ].join('\n'),
      },
      env: {
        LURKBOT_GATEWAY__LANES__CONCURRENCY: 'many',
        LURKBOT_GATEWAY__LANE__CAPACITY: '5',
        LURKBOT_GATEWAY__AGENTS: '{"slow":',
        LURKBOT_GATEWAY__METRICS__AUTH: 'maybe',
      },
      flags: { port: '65536', logLevel: 'loud' },
    })
    t.strictSame(problems.map(({ path, source, message }) => `${path} | ${source} | ${message}`).sort(), [
      ' | environment LURKBOT_GATEWAY__LANE__CAPACITY | unknown variable; did you mean ' +
        "'LURKBOT_GATEWAY__LANES__CAPACITY'?",
      'agents | environment LURKBOT_GATEWAY__AGENTS | not valid JSON at column 9: ends too early',
      'agents.helper.type | config.yaml:14 | expected text that is not empty, found nothing',
      'agents["also bad"] | config.yaml:13 | expected a name of letters, digits, `_` and `-`, at most 64',
      'agents["bad name"] | config.yaml:12 | expected a name of letters, digits, `_` and `-`, at most 64',
      'lanes.capacity | config.yaml:3 | expected an integer from 1 to 100000000, found 0',
      'lanes.concurrency | environment LURKBOT_GATEWAY__LANES__CONCURRENCY | ' +
        'expected an integer from 1 to 100000000, found "many"',
      'lanes.retry.attempts | config.yaml:5 | expected an integer from 1 to 100000000, found "3"',
      'log.level | flag --log-level | ' +
        'expected one of trace, debug, info, warn, error, fatal, silent, found "loud"',
      'metrics.auth | environment LURKBOT_GATEWAY__METRICS__AUTH | expected true or false, found "maybe"',
      'port | flag --port | expected an integer from 0 to 65535, found 65536',
      "prot | config.yaml:1 | unknown key; did you mean 'port'?",
      'routing[0].agent | config.yaml:7 | expected text that is not empty, found ""',
      'routing[1].extra | config.yaml:10 | unknown key',
    ])
  },
)

t.test('the terminal shows one problem a line below a heading', async (t) => {
  const error = new ConfigError([
    { path: 'port', source: 'flag --port', message: 'expected an integer, found "x"' },
    { path: '', message: 'something else' },
  ])
  t.equal(
    formatProblems(error),
    'The configuration has 2 problems:\n  - port: expected an integer, found "x" (flag --port)\n  - something else',
  )
  t.equal(error.exitCode, EX_CONFIG)
  t.equal(EX_CONFIG, 78)
})

t.test('the value of a secret is in no message', async (t) => {
  const secret = 's3cret with blanks'
  const given: Given[] = [
    { files: { 'config.yaml': `auth: { tokens: ["${secret}"] }` } },
    { files: { 'config.yaml': `auth: { tokens: "${secret}" }` } },
    { files: { 'config.yaml': `auth: { tokens: [{ token: ["${secret}"] }] }` } },
    { files: { 'config.yaml': `auth: "${secret}"` } },
    { files: { 'config.yaml': `auth:\n  tokens: [ *s3cret ]` } },
    { files: { 'config.yaml': `auth:\n  tokens: [ !s3cret ]` } },
    { files: { 'config.yaml': `auth:\n  tokens: [ "${secret}" ` } },
    { files: { 'config.json': `{"auth": {"tokens": ["${secret}", oops]}}` } },
    { files: { 'config.json': `{"auth": {"tokens": ["${secret}]}}` } },
    { env: { LURKBOT_GATEWAY__AUTH_TOKENS: `["${secret}"` } },
    { env: { LURKBOT_GATEWAY__AUTH_TOKENS: secret } },
    { env: { LURKBOT_GATEWAY__AUTH_TOKENS: '{"s3cret":"s3cret"}' } },
    { env: { LURKBOT_GATEWAY__AUTH_TOKENS: 's3cret,s3cret' } },
    { env: { LURKBOT_GATEWAY__AUTH__TOKENS: 's3cret', LURKBOT_GATEWAY__AUTH_TOKENS: 's3cret2' } },
    { files: { 'config.yaml': 'host: "https://me:s3cret@host/"' } },
  ]
  for (const one of given) {
    const problems = await problemsOf(t, one)
    t.not(problems.length, 0, JSON.stringify(one))
    t.notMatch(JSON.stringify(problems), /s3cret/, JSON.stringify(one))
  }
})

t.test('a list where keys belong, or keys where a list belongs, is named as such', async (t) => {
  const text =
    'lanes: [1]\nauth: { allowedHosts: { a: b } }\nagents: [x]\nconnectors: { tg: [] }\nrouting: { agent: echo }'
  const problems = await problemsOf(t, { files: { 'config.yaml': text } })
  t.match(
    problems.map(({ path, message }) => `${path}: ${message}`),
    [
      'auth.allowedHosts: expected a list of text, found keys and values',
      'lanes: expected keys and values, found a list',
      'agents: expected keys and values, found a list',
      'routing: expected a list, found keys and values',
      'connectors.tg: expected keys and values, found a list',
    ],
  )
})

t.test('the value of auth.enabled and the like is shown', async (t) => {
  t.match(await problemsOf(t, { env: { LURKBOT_GATEWAY__AUTH_ENABLED: 'on' } }), [
    { path: 'auth.enabled', message: 'expected true or false, found "on"' },
  ])
})

t.test('unknown variables get a suggestion, whatever is odd about them', async (t) => {
  const name = async (variable: string): Promise<string> => {
    const problems = await problemsOf(t, { env: { [`LURKBOT_GATEWAY__${variable}`]: '1' } })
    t.equal(problems.length, 1, variable)
    return problems[0]!.message
  }
  t.match(await name('LANES_CAPACITY'), /did you mean 'LURKBOT_GATEWAY__LANES__CAPACITY'/)
  t.match(await name('lanes__capacity'), /did you mean 'LURKBOT_GATEWAY__LANES__CAPACITY'/)
  t.match(await name('RATELIMIT__HTTP__MAX'), /did you mean 'LURKBOT_GATEWAY__RATE_LIMIT__HTTP__MAX'/)
  for (const odd of [
    '',
    '_',
    '__PROTO__',
    'AGENTS____PROTO____X',
    'PORT__X',
    'ROUTING__0__AGENT',
    'X'.repeat(5000),
  ]) {
    t.match(await name(odd), /^unknown variable/, odd.slice(0, 20))
  }
})

t.test('two variables for the same key that disagree are a problem, and that agree are none', async (t) => {
  const env = { LURKBOT_GATEWAY__TLS_CERT: 'a', LURKBOT_GATEWAY__TLS__CERT: 'b' }
  t.match(await problemsOf(t, { env }), [
    { message: 'contradicts LURKBOT_GATEWAY__TLS_CERT, which sets the same; expected one of the two' },
  ])
  t.strictSame(await problemsOf(t, { env: { ...env, LURKBOT_GATEWAY__TLS__CERT: 'a' } }), [])
})
