import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { resolveConfigPath } from '../../src/config/paths.js'
import { ConfigSchema } from '../../src/config/schema.js'
import { load } from './helpers.js'

t.test('with nothing given the configuration is the defaults, valid and frozen', async (t) => {
  const { config, configFile, sources } = await load(t)
  t.equal(configFile, null)
  t.match(config, { host: '127.0.0.1', port: 18_789, defaultAgent: 'echo', lanes: { capacity: 100 } })
  t.ok(Value.Check(ConfigSchema, config))
  t.equal(sources.get('lanes.capacity'), 'default')
  t.throws(() => {
    config.lanes.capacity = 1
  }, TypeError)
})

t.test(
  'flags win over the environment, the environment over the file, the file over the defaults',
  async (t) => {
    const { config, sources } = await load(t, {
      files: { 'config.yaml': 'host: localhost\nport: 1\nlog:\n  level: warn\nlanes:\n  capacity: 7\n' },
      env: { LURKBOT_GATEWAY__PORT: '2', LURKBOT_GATEWAY__LOG__LEVEL: 'error' },
      flags: { port: 3 },
    })
    t.match(config, { host: 'localhost', port: 3, log: { level: 'error' }, lanes: { capacity: 7 } })
    t.equal(sources.get('port'), 'flag --port')
    t.equal(sources.get('log.level'), 'environment LURKBOT_GATEWAY__LOG__LEVEL')
    t.equal(sources.get('lanes.capacity'), `${join(t.testdirName, 'config.yaml')}:6`)
    t.equal(sources.get('lanes.maxPending'), 'default')
  },
)

t.test('every flag sets its key', async (t) => {
  const { config } = await load(t, { flags: { host: '::1', port: '8080', logLevel: 'debug' } })
  t.match(config, { host: '::1', port: 8080, log: { level: 'debug' } })
})

t.test('the flat names of the reference work as they are written there', async (t) => {
  const { config } = await load(t, {
    env: {
      LURKBOT_GATEWAY__AUTH_ENABLED: 'true',
      LURKBOT_GATEWAY__AUTH_TOKENS: 'token1,token2',
      LURKBOT_GATEWAY__TLS_ENABLED: 'true',
      LURKBOT_GATEWAY__TLS_CERT: '/path/to/cert.pem',
      LURKBOT_GATEWAY__TLS_KEY: '/path/to/key.pem',
      LURKBOT_GATEWAY__HOST: '0.0.0.0',
    },
  })
  t.match(config, {
    host: '0.0.0.0',
    auth: { enabled: true, tokens: ['token1', 'token2'] },
    tls: { enabled: true, cert: '/path/to/cert.pem', key: '/path/to/key.pem' },
  })
})

t.test('text from the environment becomes what its key asks for', async (t) => {
  const cases: [name: string, text: string, path: string[], value: unknown][] = [
    ['LANES__MAX_PENDING', '5', ['lanes', 'maxPending'], 5],
    ['LANES__MAX_PENDING', ' 5 ', ['lanes', 'maxPending'], 5],
    ['RATE_LIMIT__HANDSHAKE_FAILURES__WINDOW_MS', '10', ['rateLimit', 'handshakeFailures', 'windowMs'], 10],
    ['METRICS__AUTH', 'YES', ['metrics', 'auth'], true],
    ['METRICS__AUTH', '1', ['metrics', 'auth'], true],
    ['METRICS__AUTH', 'no', ['metrics', 'auth'], false],
    ['METRICS__AUTH', '0', ['metrics', 'auth'], false],
    ['DEFAULT_AGENT', 'echo', ['defaultAgent'], 'echo'],
    ['JOURNAL__PATH', '123', ['journal', 'path'], '123'],
    ['TRUST_PROXY', 'true', ['trustProxy'], true],
    ['TRUST_PROXY', '10.0.0.1, 10.0.0.2', ['trustProxy'], ['10.0.0.1', '10.0.0.2']],
    ['AUTH__TOKENS', 'a, b,', ['auth', 'tokens'], ['a', 'b']],
    ['AUTH__TOKENS', '["a,b"]', ['auth', 'tokens'], ['a,b']],
    ['AUTH__TOKENS', '[{"token":"a","role":"viewer"}]', ['auth', 'tokens'], [{ token: 'a', role: 'viewer' }]],
    ['AUTH__ALLOWED_ORIGINS', '[]', ['auth', 'allowedOrigins'], []],
    ['LANES', '{"capacity":3,"retry":{"attempts":1}}', ['lanes', 'retry', 'attempts'], 1],
    ['ROUTING', '[{"agent":"echo"}]', ['routing'], [{ agent: 'echo' }]],
    [
      'AGENTS',
      '{"slow":{"type":"module","path":"./slow.mjs"}}',
      ['agents', 'slow'],
      { type: 'module', path: './slow.mjs' },
    ],
  ]
  for (const [name, text, path, value] of cases) {
    const { config } = await load(t, { env: { [`LURKBOT_GATEWAY__${name}`]: text } })
    const found = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], config)
    t.strictSame(found, value, `${name}=${text}`)
  }
})

t.test('an empty variable counts as unset, and variables of other programs do not matter', async (t) => {
  const { config } = await load(t, {
    env: { LURKBOT_GATEWAY__PORT: '', LURKBOT_GATEWAY_PORT: 'tcp://10.0.0.1:80', PATH: '/bin' },
  })
  t.equal(config.port, 18_789)
})

t.test('objects merge over each other and lists replace', async (t) => {
  const { config } = await load(t, {
    files: {
      'config.yaml': [
        'agents: { helper: { type: openai, model: one }, other: { type: echo } }',
        'auth: { allowedHosts: [a, b] }',
      ].join('\n'),
    },
    env: {
      LURKBOT_GATEWAY__AGENTS: '{"helper":{"model":"two"}}',
      LURKBOT_GATEWAY__AUTH__ALLOWED_HOSTS: 'c',
    },
  })
  t.strictSame(config.agents, { helper: { type: 'openai', model: 'two' }, other: { type: 'echo' } })
  t.strictSame(config.auth.allowedHosts, ['c'])
})

t.test(
  'a variable reaches into agents: names that exist, else lower case; options as YAML reads them',
  async (t) => {
    const { config } = await load(t, {
      files: { 'config.yaml': 'agents: { My-Helper: { type: openai, model: one, base_url: x } }' },
      env: {
        LURKBOT_GATEWAY__AGENTS: '{"late":{"type":"echo"}}',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__MODEL: 'two',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__BASE_URL: 'y',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__TIMEOUT_MS: '500',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__MAX_TOKENS: '0.5',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__STOP_AT: '["a"]',
        LURKBOT_GATEWAY__AGENTS__MY_HELPER__STREAM: 'false',
        LURKBOT_GATEWAY__AGENTS__LATE__DELAY: '1',
        LURKBOT_GATEWAY__AGENTS__OTHER__TYPE: 'echo',
      },
    })
    t.strictSame(config.agents, {
      'My-Helper': {
        type: 'openai',
        model: 'two',
        base_url: 'y',
        timeoutMs: 500,
        maxTokens: 0.5,
        stopAt: ['a'],
        stream: false,
      },
      late: { type: 'echo', delay: 1 },
      other: { type: 'echo' },
    })
  },
)

t.test('each of the three file names is found, and --config replaces them', async (t) => {
  for (const [name, text] of [
    ['config.yaml', 'port: 5'],
    ['config.yml', 'port: 5'],
    ['config.json', '{"port": 5}'],
  ] as const) {
    const { config, configFile, baseDir, home } = await load(t, { files: { [name]: text } })
    t.equal(config.port, 5, name)
    t.equal(configFile, join(home, name))
    t.equal(baseDir, home)
  }
  const dir = t.testdir({ home: { 'config.yaml': 'port: 5' }, 'else.json': '{"port":6}' })
  const found = await loadConfig({ env: {}, home: join(dir, 'home'), configPath: 'else.json', cwd: dir })
  t.equal(found.config.port, 6)
  t.equal(found.baseDir, dir)
})

t.test('the state folder comes from LURKBOT_HOME and need not exist', async (t) => {
  const dir = t.testdir({})
  const found = await loadConfig({ env: { LURKBOT_HOME: 'nowhere' }, cwd: dir })
  t.equal(found.home, join(dir, 'nowhere'))
  t.equal(found.baseDir, dir)
  t.equal(found.configFile, null)
})

t.test('empty files and sections that hold only comments are fine', async (t) => {
  for (const text of [
    '',
    '\n# nothing\n',
    '---\n',
    'lanes:\n  # capacity: 5\nport:\n',
    '\ufeffport: 18789\n',
  ]) {
    const { config } = await load(t, { files: { 'config.yaml': text } })
    t.match(config, { port: 18_789, lanes: { capacity: 100 } }, JSON.stringify(text))
  }
  const { config } = await load(t, { files: { 'config.json': ' \n' } })
  t.equal(config.port, 18_789)
})

t.test('an agent’s own retry says only what it sets', async (t) => {
  const { config } = await load(t, {
    files: { 'config.yaml': 'agents: { a: { type: echo, retry: { attempts: 1 } } }' },
  })
  t.strictSame(config.agents.a?.retry, { attempts: 1 })
})

t.test('log.format auto is decided by whether there is a terminal', async (t) => {
  t.equal((await load(t, { isTTY: true })).config.log.format, 'pretty')
  t.equal((await load(t, { isTTY: false })).config.log.format, 'json')
  t.equal((await load(t)).config.log.format, 'auto')
  const env = { LURKBOT_GATEWAY__LOG__FORMAT: 'json' }
  t.equal((await load(t, { isTTY: true, env })).config.log.format, 'json')
})

t.test('relative paths start at the folder of the file', async (t) => {
  t.equal(resolveConfigPath('/etc/lurkbot', './slow.mjs'), '/etc/lurkbot/slow.mjs')
  t.equal(resolveConfigPath('/etc/lurkbot', '/opt/slow.mjs'), '/opt/slow.mjs')
  t.not(resolveConfigPath('/etc/lurkbot', '~/slow.mjs'), '/etc/lurkbot/~/slow.mjs')
})
