import { inspect } from 'node:util'
import t from 'tap'
import { ANONYMOUS, createPrincipal } from '../../src/auth/principal.js'
import { TokenStore } from '../../src/auth/tokens.js'

t.test('a plain token may do everything and is named by its place', (t) => {
  const principal = new TokenStore(['token1', 'token2']).authenticate('token2')
  t.match(principal, { name: 'tokens[1]', role: 'admin', sessions: null })
  t.strictSame([...principal!.scopes], ['read', 'write', 'admin', 'agent'])
  t.end()
})

t.test('each role has its scopes', (t) => {
  const roles = ['admin', 'operator', 'viewer', 'agent'] as const
  const store = new TokenStore(roles.map((role) => ({ token: `the-${role}`, role })))
  const scopesOf = (role: string) => [...store.authenticate(`the-${role}`)!.scopes]
  t.strictSame(roles.map(scopesOf), [
    ['read', 'write', 'admin', 'agent'],
    ['read', 'write'],
    ['read'],
    ['agent'],
  ])
  t.end()
})

t.test('explicit scopes are exactly what a token has, with a role and without', (t) => {
  const store = new TokenStore([
    { token: 'a', name: 'ci', scopes: ['read'] },
    { token: 'b', role: 'admin', scopes: ['write'] },
    { token: 'c', scopes: [] },
  ])
  const view = (secret: string) => {
    const { name, role, scopes } = store.authenticate(secret)!
    return { name, role, scopes: [...scopes] }
  }
  t.strictSame(view('a'), { name: 'ci', role: 'custom', scopes: ['read'] })
  t.strictSame(view('b'), { name: 'tokens[1]', role: 'admin', scopes: ['write'] })
  t.strictSame(view('c'), { name: 'tokens[2]', role: 'custom', scopes: [] })
  t.end()
})

t.test('a token is confined to its session patterns, and to nothing by an empty list', (t) => {
  const store = new TokenStore([
    { token: 'a', sessions: ['telegram:*', 'web:1:main'] },
    { token: 'b', sessions: [] },
    { token: 'c' },
  ])
  const allowed = (secret: string) =>
    ['telegram:1:main', 'web:1:main', 'web:2:main'].map((key) =>
      store.authenticate(secret)!.allowsSession(key),
    )
  t.strictSame(allowed('a'), [true, true, false])
  t.strictSame(allowed('b'), [false, false, false])
  t.strictSame(allowed('c'), [true, true, true])
  t.end()
})

t.test('what is not a token is nobody', (t) => {
  const store = new TokenStore(['token1'])
  for (const secret of ['', 'token', 'token1 ', 'TOKEN1', 'token11', '\ud800']) {
    t.equal(store.authenticate(secret), null, JSON.stringify(secret))
  }
  t.equal(new TokenStore([]).authenticate(''), null)
  t.end()
})

t.test('the token that the gateway made is one of them', (t) => {
  const store = new TokenStore([], 'made-by-the-gateway')
  t.equal(store.size, 1)
  t.match(store.authenticate('made-by-the-gateway'), { name: 'auto', role: 'admin' })
  t.end()
})

t.test('the store holds no token, and names the short ones', (t) => {
  const store = new TokenStore(['short-secret', { token: 'a-secret-that-is-long-enough', name: 'long' }])
  t.strictSame(store.short, ['tokens[0]'])
  t.notMatch(inspect(store, { depth: 9, showHidden: true }), /secret/)
  t.notMatch(JSON.stringify(store), /secret/)
  t.end()
})

t.test('a principal cannot be changed through what it was made of', (t) => {
  const sessions = ['a:*']
  const principal = createPrincipal({ name: 'x', role: 'custom', scopes: ['read'], sessions })
  sessions.push('*')
  t.notOk(principal.allowsSession('b:1'))
  t.strictSame(principal.sessions, ['a:*'])
  t.throws(() => Object.assign(principal, { role: 'admin' }), TypeError)
  t.match(ANONYMOUS, { name: 'anonymous', role: 'admin', sessions: null })
  t.equal(ANONYMOUS.scopes.size, 4)
  t.end()
})

t.test('of replaced tokens only those lose their holders that are gone or give other rights', (t) => {
  const store = new TokenStore([
    'unnamed-by-its-place',
    { token: 'stays-as-it-is', name: 'stays', scopes: ['read'] },
    { token: 'is-taken-away', name: 'gone' },
    { token: 'may-do-less-now', name: 'less', role: 'admin' },
    'moves-to-another-place',
  ])
  const held = (token: string) => store.authenticate(token)!
  const [unnamed, stays, gone, less, moves] = [
    held('unnamed-by-its-place'),
    held('stays-as-it-is'),
    held('is-taken-away'),
    held('may-do-less-now'),
    held('moves-to-another-place'),
  ]
  const next = new TokenStore(
    [
      'unnamed-by-its-place',
      'moves-to-another-place',
      { token: 'stays-as-it-is', name: 'stays', scopes: ['read'] },
      { token: 'may-do-less-now', name: 'less', role: 'viewer' },
      { token: 'is-a-new-one', name: 'new' },
    ],
    undefined,
    store,
  )
  const after = (token: string) => next.authenticate(token)!
  t.strictSame(store.endedBy(next), { revoked: [gone], changed: [less] })
  t.equal(after('unnamed-by-its-place'), unnamed)
  t.equal(after('moves-to-another-place'), moves)
  t.equal(after('stays-as-it-is'), stays)
  t.equal(next.authenticate('is-taken-away'), null)
  t.match(after('may-do-less-now'), { role: 'viewer' })
  t.match(after('is-a-new-one'), { name: 'new' })
  t.end()
})
