import t from 'tap'
import { createOriginPolicy } from '../../src/auth/origin.js'

const LOOPBACK = '127.0.0.1'
const OPEN = '0.0.0.0'

interface Given {
  bindHost?: string
  allowedOrigins?: string[]
  allowedHosts?: string[]
}

function allows(host: string | undefined, origin?: string, given: Given = {}): boolean {
  const policy = createOriginPolicy({ bindHost: LOOPBACK, allowedOrigins: [], allowedHosts: [], ...given })
  return policy.check({ headers: { host, origin } }) === null
}

t.test('on a loopback bind the Host must be a loopback name', (t) => {
  const good = ['127.0.0.1:18789', '127.8.8.8', 'localhost', 'LOCALHOST:1', 'localhost.', 'localhost.:18789']
  const more = ['[::1]:18789', '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]:80', 'app.localhost:18789']
  for (const host of [...good, ...more]) t.ok(allows(host), host)
  const bad = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '0.0.0.0:18789',
    '10.0.0.1',
  ]
  const worse = [
    '',
    ':18789',
    '[::1',
    '::1',
    'localhost:x',
    'localhost:99999',
    'a@localhost',
    'localhost/x',
    '.',
  ]
  for (const host of [...bad, ...worse, 'notlocalhost', 'localhost, evil.example', '[::2]']) {
    t.notOk(allows(host), host)
  }
  t.end()
})

t.test('a listed Host is allowed on a loopback bind, with any port', (t) => {
  const given = { allowedHosts: ['Gateway.Internal', 'other.internal:8080', '[fd00::1]'] }
  for (const host of ['gateway.internal', 'GATEWAY.internal.:18789', 'other.internal:1', '[fd00:0::1]:5']) {
    t.ok(allows(host, undefined, given), host)
  }
  t.notOk(allows('sub.gateway.internal', undefined, given))
  t.end()
})

t.test('beyond loopback any Host is allowed, but not a malformed one', (t) => {
  t.ok(allows('gateway.example', undefined, { bindHost: OPEN }))
  t.notOk(allows('gateway example', undefined, { bindHost: OPEN }))
  t.end()
})

t.test('a request without Origin and Host comes from no browser', (t) => {
  t.ok(allows(undefined))
  t.notOk(allows(undefined, 'https://evil.example'))
  t.end()
})

t.test(
  'behind a proxy the host that the client asked counts, and on a loopback bind it must be listed too',
  (t) => {
    const policyOf = (given: Given) =>
      createOriginPolicy({ bindHost: LOOPBACK, allowedOrigins: [], allowedHosts: [], ...given })
    const headers = { host: '127.0.0.1:18789', origin: 'https://gateway.example' }
    const request = { headers, host: 'gateway.example' }
    t.match(policyOf({}).check(request), { reason: /allowedHosts/ })
    const listed = policyOf({ allowedHosts: ['gateway.example'] })
    t.equal(listed.check(request), null)
    t.match(listed.check({ ...request, headers: { ...headers, origin: 'https://other.example' } }), {
      reason: /Origin/,
    })
    t.equal(policyOf({ bindHost: OPEN }).check(request), null)
    const rebound = { headers: { host: 'evil.example', origin: 'http://evil.example' }, host: 'localhost' }
    t.match(listed.check(rebound), { reason: /Host/ }, 'what a page says of its host opens nothing')
    t.match(listed.check({ headers: {}, host: 'a b' }), { reason: /malformed/ })
    t.equal(listed.check({ headers: {}, host: '' }), null, 'HTTP/1.0')
    t.end()
  },
)

t.test('two Hosts are refused', (t) => {
  const policy = createOriginPolicy({ bindHost: OPEN, allowedOrigins: [], allowedHosts: [] })
  const headers = { host: 'localhost' }
  t.equal(policy.check({ headers, rawHeaders: ['Host', 'localhost', 'X', 'host'] }), null)
  t.match(policy.check({ headers, rawHeaders: ['Host', 'localhost', 'hOST', 'evil.example'] }), {
    reason: /more than once/,
  })
  t.end()
})

t.test('an Origin of the same host or of loopback is allowed', (t) => {
  const given = { bindHost: OPEN }
  t.ok(allows('gateway.example:18789', 'https://gateway.example', given))
  t.ok(allows('gateway.example', 'http://GATEWAY.example.:3000', given))
  t.ok(allows('[fd00::1]:18789', 'http://[fd00:0:0::1]', given))
  for (const origin of [
    'http://localhost:3000',
    'http://127.0.0.1',
    'https://[::1]:1',
    'http://a.localhost',
  ]) {
    t.ok(allows('gateway.example', origin, given), origin)
    t.ok(allows('127.0.0.1:18789', origin), origin)
  }
  t.end()
})

t.test('a foreign, null or malformed Origin is refused', (t) => {
  const foreign = [
    'https://evil.example',
    'http://gateway.example.evil.example',
    'http://0.0.0.0',
    'https://10.0.0.1',
  ]
  const odd = [
    'null',
    '',
    'localhost',
    'http://',
    'http://localhost/path',
    'http://localhost, http://localhost',
  ]
  const schemes = ['file://', 'chrome-extension://abcdef', 'tauri://localhost', 'ws://localhost']
  for (const origin of [
    ...foreign,
    ...odd,
    ...schemes,
    'http://localhost@evil.example',
    'https://localhost%00',
  ]) {
    t.notOk(allows('localhost', origin), origin)
    t.notOk(allows('gateway.example', origin, { bindHost: OPEN }), origin)
  }
  t.end()
})

t.test('a listed Origin is allowed by scheme, host and port', (t) => {
  const allowedOrigins = ['https://App.example/', 'http://dev.example:80', 'chrome-extension://abcdef']
  const listed = (origin: string) => allows('localhost', origin, { allowedOrigins })
  for (const origin of ['https://app.example', 'https://APP.example:443', 'http://dev.example']) {
    t.ok(listed(origin), origin)
  }
  t.ok(listed('chrome-extension://abcdef'))
  for (const origin of ['http://app.example', 'https://app.example:8443', 'https://x.app.example', 'null']) {
    t.notOk(listed(origin), origin)
  }
  t.notOk(listed('chrome-extension://other'))
  t.end()
})

t.test('a listed Origin does not open a loopback bind to a foreign Host', (t) => {
  const given = { allowedOrigins: ['https://app.example'] }
  t.notOk(allows('app.example', 'https://app.example', given), 'what DNS rebinding looks like')
  t.ok(allows('app.example', 'https://app.example', { ...given, allowedHosts: ['app.example'] }))
  t.end()
})

t.test('list entries that are no origins or hosts are all named', (t) => {
  const allowedOrigins = ['https://ok.example', 'null', 'app.example', 'https://a.example/path', '*']
  const allowedHosts = ['http://a.example', 'ok', 'a b']
  try {
    createOriginPolicy({ bindHost: OPEN, allowedOrigins, allowedHosts })
    t.fail('it was accepted')
  } catch (error) {
    const paths = (error as { problems: { path: string }[] }).problems.map(({ path }) => path)
    const origins = [1, 2, 3, 4].map((index) => `auth.allowedOrigins[${index}]`)
    t.strictSame(paths, [...origins, 'auth.allowedHosts[0]', 'auth.allowedHosts[2]'])
  }
  t.end()
})

t.test('each reason fits into a close frame', (t) => {
  const policy = createOriginPolicy({ bindHost: LOOPBACK, allowedOrigins: [], allowedHosts: [] })
  const bad = [{ host: 'evil.example' }, { host: '' }, { origin: 'null' }, { origin: 'http://evil.example' }]
  const reasons = bad.map((headers) => policy.check({ headers })!.reason)
  t.equal(new Set(reasons).size, 4)
  for (const reason of reasons) t.ok(Buffer.byteLength(reason) <= 123, reason)
  t.end()
})
