import t from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { problemsOf } from './helpers.js'

const yaml = (text: string) => ({ files: { 'config.yaml': text } })

t.test('TLS without its files names each that is missing', async (t) => {
  t.match(await problemsOf(t, yaml('tls: { enabled: true }')), [
    { path: 'tls.cert', source: 'config.yaml:1', message: /expected the path of a certificate/ },
    { path: 'tls.key', message: /expected the path of a private key/ },
  ])
  t.match(await problemsOf(t, yaml('tls: { enabled: true, cert: a.pem }')), [{ path: 'tls.key' }])
  t.strictSame(await problemsOf(t, yaml('tls: { enabled: true, cert: a.pem, key: b.pem }')), [])
})

t.test('a bind beyond loopback cannot be opened to everyone', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.0.1', 'example.org']) {
    const problems = await problemsOf(t, yaml(`host: "${host}"\nauth: { enabled: false }`))
    t.match(
      problems,
      [{ path: 'auth.enabled', source: 'config.yaml:2', message: /reached from other machines/ }],
      host,
    )
    t.strictSame(await problemsOf(t, yaml(`host: "${host}"`)), [], host)
  }
  for (const host of ['127.0.0.1', '127.8.8.8', '::1', 'localhost']) {
    t.strictSame(await problemsOf(t, yaml(`host: "${host}"\nauth: { enabled: false }`)), [], host)
    t.strictSame(await problemsOf(t, yaml(`host: "${host}"\nauth: { enabled: true }`)), [], host)
  }
})

t.test('the same token or name twice is refused by position', async (t) => {
  t.match(
    await problemsOf(
      t,
      yaml('auth: { tokens: [a, { token: b, name: x }, { token: a }, { token: c, name: x }] }'),
    ),
    [
      { path: 'auth.tokens[2]', message: 'is the same token as auth.tokens[0]' },
      { path: 'auth.tokens[3].name', message: /found "x", the name of auth.tokens\[1\]/ },
    ],
  )
})

t.test('the keys for JSON Web Tokens come over https, or from this machine', async (t) => {
  const jwt = (uri: string, more = '') =>
    yaml(`auth: { jwt: { issuer: i, audience: [a], jwksUri: "${uri}"${more} } }`)
  for (const uri of [
    'https://id.example/keys',
    'http://127.0.0.1:1/keys',
    'http://[::1]/',
    'http://localhost/',
  ]) {
    t.strictSame(await problemsOf(t, jwt(uri)), [], uri)
  }
  for (const uri of [
    'http://id.example/keys',
    'http://127.0.0.1.evil.example/',
    'ftp://id.example/',
    'keys',
  ]) {
    t.match(await problemsOf(t, jwt(uri)), [
      { path: 'auth.jwt.jwksUri', message: /expected an https address, or http on loopback/ },
    ])
  }
  for (const name of ['none', 'HS256']) {
    const problems = await problemsOf(t, jwt('https://id.example/keys', `, algorithms: [${name}]`))
    t.match(problems, [{ path: 'auth.jwt.algorithms[0]' }], name)
  }
})

t.test('agents that are named somewhere have to exist', async (t) => {
  const problems = await problemsOf(
    t,
    yaml(
      'defaultAgent: helpr\nrouting: [{ agent: echo }, { agent: toString }]\nagents: { helper: { type: echo } }',
    ),
  )
  t.match(problems, [
    {
      path: 'defaultAgent',
      message: `expected an agent (echo, helper), found "helpr"; did you mean 'helper'?`,
    },
    { path: 'routing[1].agent', message: /found "toString"/ },
  ])
})

t.test('a host is an address or a name, nothing more', async (t) => {
  for (const host of ['127.0.0.1:80', 'http://localhost', '[::1]', 'a b', '-x', '*']) {
    t.match(
      await problemsOf(t, yaml(`host: "${host}"`)),
      [{ path: 'host', message: /without scheme, port/ }],
      host,
    )
  }
  for (const host of ['::', 'fe80::1%eth0', 'my-host.example.', 'gateway_1']) {
    t.strictSame(await problemsOf(t, yaml(`host: "${host}"`)), [], host)
  }
})

t.test('a proxy is an address, a range or a name of ranges', async (t) => {
  for (const proxy of [
    'nginx',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/255.0.0.0',
    '127.0.0.1:80',
    '1.2.3',
    'constructor',
  ]) {
    const message = /expected an address, a range such as/
    const problems = await problemsOf(t, yaml(`trustProxy: [127.0.0.1, "${proxy}"]`))
    t.match(problems, [{ path: 'trustProxy[1]', message }], proxy)
  }
  for (const proxy of [
    '127.0.0.1',
    '::1',
    '10.0.0.0/8',
    'fd00::/8',
    'loopback',
    'linklocal',
    'uniquelocal',
  ]) {
    t.strictSame(await problemsOf(t, yaml(`trustProxy: ["${proxy}"]`)), [], proxy)
  }
})

t.test('a base path starts with a slash, ends without one and needs no escapes', async (t) => {
  for (const path of ['gateway', '/gateway/', '/', '/a//b', '/..', '/a/./b', '/a b', '/:id', '/*', '/a?b']) {
    t.match(
      await problemsOf(t, yaml(`basePath: "${path}"`)),
      [{ path: 'basePath', message: /a path such as/ }],
      path,
    )
  }
  for (const path of ['', '/gateway', '/a/b-c/d.e']) {
    t.strictSame(await problemsOf(t, yaml(`basePath: "${path}"`)), [], path)
  }
})

t.test('a rule across keys is left out while one of them is wrong by itself', async (t) => {
  t.match(await problemsOf(t, yaml('defaultAgent: helper\nagents: { helper: 5 }')), [
    { path: 'agents.helper' },
  ])
})

t.test('a routing rule decides something', async (t) => {
  t.match(await problemsOf(t, yaml('routing: [{ channel: irc, queueMode: collect }, { channel: web }]')), [
    { path: 'routing[1]', message: 'expected an agent, a queueMode or both, found neither' },
  ])
})

t.test('a rule with a mention chooses an agent, for a queue mode is of the whole session', async (t) => {
  const rules = 'routing: [{ mention: ops, agent: echo }, { mention: ops, agent: echo, queueMode: collect }]'
  t.match(await problemsOf(t, yaml(rules)), [
    { path: 'routing[1].queueMode', message: /^expected no queueMode/ },
  ])
  t.match(await problemsOf(t, yaml('routing: [{ mention: "@ops", agent: echo }]')), [
    { path: 'routing[0].mention', message: /^expected a name .*without the @/ },
  ])
})

t.test('the breaker of an agent is off unless it is there; what it leaves out has a default', async (t) => {
  const { config } = await loadConfig({
    env: {},
    home: t.testdir({ 'config.yaml': 'agents: { one: { type: echo, breaker: {} }, two: { type: echo } }' }),
  })
  t.match(config.agents.one!.breaker, { failures: 5, openMs: 30_000, maxWaitMs: 86_400_000 })
  t.equal(config.agents.two!.breaker, undefined)
})
