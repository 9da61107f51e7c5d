import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { type ConfigOverrides, startApp } from '../helpers/app.js'
import { asRoot, ROOT } from '../helpers/identities.js'
import { until } from '../helpers/until.js'

const ISSUER = 'https://id.example'
const AUDIENCE = 'lurkbot'

/** An identity provider: a real server of keys, and a signer. */
class Provider {
  readonly keys: JWK[] = []
  requests = 0
  /** What it answers in place of its keys. */
  broken: number | null = null
  #server = createServer((_request, response) => {
    this.requests++
    response.statusCode = this.broken ?? 200
    response.end(JSON.stringify({ keys: this.keys }))
  })
  uri = ''

  static async start(t: Test): Promise<Provider> {
    const provider = new Provider()
    await new Promise<void>((resolve) => provider.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => provider.stop())
    const { port } = provider.#server.address() as AddressInfo
    provider.uri = `http://127.0.0.1:${port}/keys`
    return provider
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** A key that it publishes, unless it is kept; signs tokens of good claims and those given. */
  async key(kid: string, alg = 'ES256', publish = true) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    if (publish) this.keys.push({ ...(await exportJWK(publicKey)), kid, alg })
    return (claims: JWTPayload = {}, lifetimeMs = 60_000) =>
      new SignJWT({
        iss: ISSUER,
        aud: AUDIENCE,
        sub: 'alice',
        role: 'operator',
        exp: Math.floor((Date.now() + lifetimeMs) / 1000),
        ...claims,
      })
        .setProtectedHeader({ alg, kid })
        .sign(privateKey)
  }

  config(jwt: object = {}): ConfigOverrides {
    const common = { issuer: ISSUER, audience: [AUDIENCE], jwksUri: this.uri, cooldownMs: 100 }
    return {
      auth: { tokens: [ROOT], jwt: { ...common, ...jwt } },
      rateLimit: { handshakeFailures: { max: 0 } },
    } as ConfigOverrides
  }
}

t.test('a JWT connects with the rights of its claims, over both protocols', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  const { connect, open, url } = await startApp(
    t,
    provider.config({ claims: { sessions: 'lurkbot.sessions' } }),
  )
  const token = await sign({ lurkbot: { sessions: ['team:*'] } })
  const alice = await connect({ auth: { token } })
  t.match(alice.helloOk!.auth, { role: 'operator', scopes: ['read', 'write'] })
  t.match(await alice.refused('sessions.get', {}, 'web:1:main'), { code: 'FORBIDDEN' })
  t.match(await alice.call('sessions.create', {}, 'team:1:main'), { session: { key: 'team:1:main' } })
  const authorization = `Bearer ${token}`
  t.equal((await fetch(`${url}/methods`, { headers: { authorization } })).status, 200)
  const scoped = await connect({ auth: { token: await sign({ scope: 'openid read', role: undefined }) } })
  t.match(scoped.helloOk!.auth, { role: 'custom', scopes: ['read'] })
  t.match(
    await scoped.refused('sessions.get', {}, 'team:1:main'),
    { code: 'FORBIDDEN' },
    'no claim: no session',
  )
  const root = await connect(asRoot)
  t.match(root.helloOk!.auth, { role: 'admin' })
  t.match(await (await open()).hello({ auth: { token: await sign({ role: 'admin', scope: 'openid' }) } }), {
    auth: { role: 'admin' },
  })
  t.equal(provider.requests, 1, 'the keys are fetched once')
})

t.test('a token that is not what it should be is refused', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  const forged = await provider.key('one', 'ES256', false)
  const unlisted = await provider.key('ps', 'PS256')
  const { open } = await startApp(t, provider.config())
  const secret = new TextEncoder().encode(JSON.stringify(provider.keys[0]))
  const bad: Record<string, string> = {
    expired: await sign({}, -120_000),
    'without an end': await sign({ exp: undefined }),
    'not valid yet': await sign({ nbf: Math.floor(Date.now() / 1000) + 600 }),
    'of another issuer': await sign({ iss: 'https://evil.example' }),
    'for others': await sign({ aud: 'others' }),
    'of a forged key': await forged(),
    'of an algorithm that is not listed': await unlisted(),
    'without a signature': new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', role: 'admin' })
      .setExpirationTime('1h')
      .encode(),
    'signed with the public key as a secret': await new SignJWT({ sub: 'alice', role: 'admin' })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setExpirationTime('1h')
      .sign(secret),
    'without a role': await sign({ role: undefined }),
    'with a role that is none': await sign({ role: 'emperor' }),
    'without a name': await sign({ sub: undefined }),
    'cut off': (await sign()).slice(0, -4),
    'of no sense': 'eyJ.e30.x',
  }
  for (const [what, token] of Object.entries(bad)) {
    const socket = await open()
    t.match(await socket.hello({ auth: { token } }), { error: { code: 'UNAUTHORIZED' } }, what)
    t.match(await socket.closed, { code: 4401 }, what)
  }
})

t.test('a connection ends with its token', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  const { connect } = await startApp(t, provider.config({ clockToleranceMs: 0 }))
  const alice = await connect({ auth: { token: await sign({}, 2_000) } })
  t.match(await alice.closed, { code: 4401, reason: /expired/ })
})

t.test('a new key is found, and unknown ones are not asked for again and again', async (t) => {
  const provider = await Provider.start(t)
  const old = await provider.key('old')
  const { connect, open } = await startApp(t, provider.config({ cooldownMs: 500 }))
  await connect({ auth: { token: await old() } })
  t.equal(provider.requests, 1)
  const strange = await provider.key('strange', 'ES256', false)
  for (let i = 0; i < 5; i++) {
    t.match(await (await open()).hello({ auth: { token: await strange() } }), {
      error: { code: 'UNAUTHORIZED' },
    })
  }
  t.ok(provider.requests <= 2, `${provider.requests} requests`)
  const fresh = await provider.key('fresh')
  const token = await fresh()
  await until(async () => (await (await open()).hello({ auth: { token } })).type === 'hello-ok')
})

t.test('while the keys cannot be fetched, nobody is called unauthorised who may not be', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  provider.broken = 503
  const { connect, open, url } = await startApp(t, provider.config())
  const token = await sign()
  const socket = await open()
  t.match(await socket.hello({ auth: { token } }), {
    error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number },
  })
  t.match(await socket.closed, { code: 1013 })
  const http = await fetch(`${url}/methods`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(http.status, 503)
  t.ok(http.headers.get('retry-after'))
  await connect(asRoot)
  provider.broken = null
  await until(async () => (await (await open()).hello({ auth: { token } })).type === 'hello-ok')
})

t.test('keys that were fetched go on while their server is away, for a time', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  const jwt = { cacheMs: 1_000, cooldownMs: 100, staleMs: 1_000 }
  const { open } = await startApp(t, provider.config(jwt))
  const token = await sign()
  const hello = async () => (await open()).hello({ auth: { token } })
  t.match(await hello(), { type: 'hello-ok' })
  provider.stop()
  let answer = await hello()
  t.equal(answer.type, 'hello-ok')
  await until(async () => {
    answer = await hello()
    return answer.type !== 'hello-ok'
  })
  t.match(answer.error, { code: 'UNAVAILABLE' })
})

t.test('an answer that is no set of keys is a failure of the server', async (t) => {
  const provider = await Provider.start(t)
  const sign = await provider.key('one')
  provider.keys.push({ kid: 'x'.repeat(300_000), kty: 'oct' })
  const { open } = await startApp(t, provider.config())
  t.match(await (await open()).hello({ auth: { token: await sign() } }), { error: { code: 'UNAVAILABLE' } })
})
