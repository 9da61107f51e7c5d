import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConfigOverrides, type RunningApp, startApp, temporaryFolder } from '../../helpers/app.js'
import { asRoot, ROOT } from '../../helpers/identities.js'
import { startScripted } from '../../helpers/scripted-agent.js'
import { until } from '../../helpers/until.js'

const CONFINED = 'confined-admin-of-tests'

function start(t: Test, overrides: ConfigOverrides = {}, options: Parameters<typeof startApp>[2] = {}) {
  const tokens = [
    { name: 'root', token: ROOT },
    { name: 'team', token: CONFINED, sessions: ['team:*'] },
    { name: 'reader-admin', token: 'reader-admin-of-tests', scopes: ['read' as const, 'admin' as const] },
  ]
  return startApp(t, { ...overrides, auth: { tokens, ...overrides.auth } }, options)
}

const withToken = (app: RunningApp, token: string) => app.connect({ auth: { token } })

/** What whoever comes with this token hears. */
async function refusal({ open }: RunningApp, token: string) {
  const socket = await open()
  const { error } = await socket.hello({ auth: { token } })
  return { error, ...(await socket.closed) }
}

t.test('a new token connects with its rights, and its secret is told once and kept nowhere', async (t) => {
  const home = await temporaryFolder(t)
  const journal = { type: 'memory' as const }
  const running = await start(t, { journal }, { home })
  const root = await running.connect(asRoot)
  const made = await root.call('tokens.new', { name: 'ci', role: 'viewer', sessions: ['ci:*'] })
  t.match(made, {
    secret: /^lbt_[\w-]{43}$/,
    enforced: true,
    token: { name: 'ci', source: 'issued', role: 'viewer', scopes: ['read'], createdBy: 'root' },
  })
  const ci = await withToken(running, made.secret)
  t.match(ci.helloOk!.auth, { role: 'viewer', scopes: ['read'] })
  t.match(await ci.refused('sessions.send', { content: 'x' }, 'ci:1:main'), { code: 'FORBIDDEN' })
  t.match(await ci.refused('sessions.get', {}, 'web:1:main'), { code: 'FORBIDDEN' })
  const { tokens } = await root.call('tokens.list')
  t.notMatch(JSON.stringify(tokens), made.secret)
  t.strictSame(
    tokens.map(({ name, source }: { name: string; source: string }) => `${source} ${name}`),
    ['issued ci', 'config reader-admin', 'config root', 'config team'],
  )
  t.ok(tokens[0].lastUsedAt >= tokens[0].createdAt)
  const stored = await running.app.journal.documents({ kind: 'token', limit: 10 })
  t.notMatch(JSON.stringify(stored), made.secret)
  t.match(await root.refused('tokens.new', { name: 'ci' }), { code: 'CONFLICT' })
  t.match(await root.refused('tokens.new', { name: 'root' }), { code: 'CONFLICT' })
  t.match(await root.refused('tokens.new', { name: 'device:x' }), { code: 'INVALID_REQUEST' })
})

t.test('the list goes by pages', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  for (const name of ['a', 'b', 'c']) await root.call('tokens.new', { name })
  const names: string[] = []
  let cursor: string | undefined
  do {
    const page = await root.call('tokens.list', { limit: 2, cursor })
    names.push(...page.tokens.map(({ name }: { name: string }) => name))
    // What is gone meanwhile moves nothing.
    if (cursor === undefined) await root.call('tokens.revoke', { name: names[0] })
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  t.strictSame(new Set(names.slice(0, 3)), new Set(['a', 'b', 'c']))
  t.strictSame(names.slice(3), ['reader-admin', 'root', 'team'])
})

t.test('a token outlives a restart', async (t) => {
  const home = await temporaryFolder(t)
  const journal = { type: 'sqlite' as const, path: join(home, 'j.db') }
  const first = await start(t, { journal }, { home })
  const root = await first.connect(asRoot)
  const { secret, token } = await root.call('tokens.new', { name: 'ci' })
  const gone = await root.call('tokens.new', { name: 'gone' })
  await root.call('tokens.revoke', { tokenId: gone.token.tokenId })
  await first.app.close()
  const second = await start(t, { journal }, { home })
  t.match((await withToken(second, secret)).helloOk!.auth, { role: 'operator' })
  t.match(await refusal(second, gone.secret), { code: 4401 })
  const again = await second.connect(asRoot)
  t.match((await again.call('tokens.rotate', { tokenId: token.tokenId })).token, { name: 'ci' })
})

t.test('revoking a token closes its connections and ends their requests at once', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const { secret } = await root.call('tokens.new', { name: 'ci' })
  const [one, two, other] = [
    await withToken(running, secret),
    await withToken(running, secret),
    await withToken(running, ROOT),
  ]
  one.send({ type: 'request', id: 'w', method: 'agent.wait', params: { runId: 'run_none' } })
  t.match(await root.call('tokens.revoke', { name: 'ci' }), { revoked: true })
  t.match(await one.closed, { code: 4401, reason: /revoked/ })
  t.match(await two.closed, { code: 4401 })
  t.match(await refusal(running, secret), { code: 4401, error: { code: 'UNAUTHORIZED' } })
  t.match(await other.call('gateway.ping'), { pong: true })
  t.match(await root.refused('tokens.revoke', { name: 'ci' }), { code: 'NOT_FOUND' })
})

t.test('a request that waits ends with the token of its connection', async (t) => {
  const { app, connect, agent } = await startScripted(t, { auth: { tokens: [ROOT] } })
  const root = await connect(asRoot)
  const { secret } = await root.call('tokens.new', { name: 'ci' })
  const ci = await connect({ auth: { token: secret } })
  ci.send({
    type: 'request',
    id: 'w',
    method: 'sessions.send',
    params: { content: 'hi', wait: true },
    sessionKey: 'a:1:main',
  })
  const run = await agent.next()
  t.equal(app.outcomes.waiting, 1)
  await root.call('tokens.revoke', { name: 'ci' })
  t.match(await ci.closed, { code: 4401 })
  await until(() => app.outcomes.waiting === 0)
  run.reply('done')
})

t.test('whoever revokes its own token still hears that it is done', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const { secret } = await root.call('tokens.new', { name: 'me', role: 'admin' })
  const me = await withToken(running, secret)
  t.match(await me.call('tokens.revoke', { name: 'me' }), { revoked: true })
  t.match(await me.closed, { code: 4401 })
})

t.test('a rotated token has a new secret, and the old one is good for the overlap', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const first = await root.call('tokens.new', { name: 'ci' })
  const before = await withToken(running, first.secret)
  const second = await root.call('tokens.rotate', { name: 'ci' })
  t.not(second.secret, first.secret)
  t.ok(second.token.previousUntil > second.token.rotatedAt)
  t.equal(second.token.tokenId, first.token.tokenId)
  const after = await withToken(running, second.secret)
  t.match(await before.call('gateway.ping'), { pong: true })
  await withToken(running, first.secret)
  const third = await root.call('tokens.rotate', { name: 'ci', overlapMs: 300 })
  t.match(await before.closed, { code: 4401 }, 'a second rotation ends what the first had left')
  t.match(await after.closed, { code: 4401, reason: /expired/ }, 'the overlap is over')
  t.match(await refusal(running, second.secret), { code: 4401 })
  const last = await withToken(running, third.secret)
  const fourth = await root.call('tokens.rotate', { name: 'ci', overlapMs: 0 })
  t.match(await last.closed, { code: 4401 })
  t.match((await withToken(running, fourth.secret)).helloOk!.auth, { role: 'operator' })
})

t.test('a token that expires closes its connections', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const { secret, token } = await root.call('tokens.new', { name: 'brief', expiresInMs: 1_000 })
  t.equal(token.expiresAt - token.createdAt, 1_000)
  const brief = await withToken(running, secret)
  t.match(await brief.closed, { code: 4401, reason: /expired/ })
  t.match(await refusal(running, secret), { code: 4401 })
  const { tokens } = await root.call('tokens.list')
  t.notMatch(JSON.stringify(tokens), 'brief')
})

t.test('nobody gives more than they have, nor touches what has more', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  await root.call('tokens.new', { name: 'whole', role: 'admin' })
  const team = await withToken(running, CONFINED)
  for (const wanted of [{ sessions: ['*'] }, { sessions: ['team:1:*', 'web:*'] }, { sessions: ['te*'] }]) {
    t.match(await team.refused('tokens.new', { name: 'x', ...wanted }), { code: 'FORBIDDEN' })
  }
  const made = await team.call('tokens.new', { name: 'inherits' })
  t.strictSame(made.token.sessions, ['team:*'])
  t.match((await team.call('tokens.new', { name: 'less', sessions: ['team:1:*'] })).token, {
    sessions: ['team:1:*'],
  })
  const reader = await withToken(running, 'reader-admin-of-tests')
  t.match(await reader.refused('tokens.new', { name: 'y' }), { code: 'FORBIDDEN' }, 'operators may write')
  t.match(await reader.call('tokens.new', { name: 'y', role: 'viewer' }), { token: { role: 'viewer' } })
  for (const method of ['tokens.rotate', 'tokens.revoke']) {
    t.match(await team.refused(method, { name: 'whole' }), { code: 'FORBIDDEN' }, method)
    t.match(await reader.refused(method, { name: 'whole' }), { code: 'FORBIDDEN' }, method)
  }
  const names = async (socket: typeof team) =>
    (await socket.call('tokens.list')).tokens.map(({ name }: { name: string }) => name).sort()
  t.strictSame(await names(team), ['inherits', 'less', 'team'])
  t.strictSame(await names(reader), ['reader-admin', 'y'])
})

t.test('the number of tokens is bounded', async (t) => {
  const running = await start(t, { auth: { maxTokens: 2 } })
  const root = await running.connect(asRoot)
  const answers = await Promise.all(['a', 'b', 'c'].map((name) => root.request('tokens.new', { name })))
  t.strictSame(
    answers.map(({ error }) => error?.code ?? null),
    [null, null, 'UNAVAILABLE'],
  )
})

t.test('with the configured tokens replaced, those that lost theirs have to go', async (t) => {
  const tokens = [
    { name: 'root', token: ROOT },
    { name: 'stays', token: 'stays-where-it-is-now', role: 'viewer' as const },
    { name: 'changes', token: 'changes-its-rights-now', role: 'viewer' as const },
    { name: 'goes', token: 'goes-away-for-good-now' },
  ]
  const running = await startApp(t, { auth: { tokens } })
  const [stays, changes, goes] = [
    await withToken(running, tokens[1]!.token),
    await withToken(running, tokens[2]!.token),
    await withToken(running, tokens[3]!.token),
  ]
  const change = await running.app.auth.setTokens([
    tokens[1]!,
    tokens[0]!,
    { ...tokens[2]!, role: 'operator' },
    'a-token-that-is-new-here',
  ])
  t.strictSame(
    { revoked: change.revoked.map(({ name }) => name), changed: change.changed.map(({ name }) => name) },
    { revoked: ['goes'], changed: ['changes'] },
  )
  t.match(await goes.closed, { code: 4401 })
  t.match(await changes.closed, { code: 4410 })
  t.match((await withToken(running, tokens[2]!.token)).helloOk!.auth, { role: 'operator' })
  t.match((await withToken(running, 'a-token-that-is-new-here')).helloOk!.auth, { role: 'admin' })
  t.match(await refusal(running, tokens[3]!.token), { code: 4401 })
  t.match(await stays.call('gateway.ping'), { pong: true })
})

t.test('a token without a name may change its place', async (t) => {
  const running = await startApp(t, { auth: { tokens: [ROOT, 'the-second-token-here'] } })
  const second = await withToken(running, 'the-second-token-here')
  const { revoked, changed } = await running.app.auth.setTokens(['the-second-token-here'])
  t.strictSame([revoked.map(({ name }) => name), changed], [['tokens[0]'], []])
  t.match(await second.call('gateway.ping'), { pong: true })
})

t.test('with a first token, whoever came without one has to go', async (t) => {
  const running = await startApp(t)
  const nobody = await running.connect()
  await running.app.auth.setTokens([ROOT])
  t.match(await nobody.closed, { code: 4401 })
  t.match(await (await running.open()).hello(), { type: 'hello-error', error: { code: 'UNAUTHORIZED' } })
  await running.app.auth.setTokens([])
  t.match(await (await running.open()).hello(), { type: 'hello-ok', auth: { role: 'admin' } })
})

t.test('a token that is revoked while its handshake waits is not let in', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const { secret } = await root.call('tokens.new', { name: 'late' })
  let go = () => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const { sessions } = running.app
  const snapshot = sessions.snapshot.bind(sessions)
  let asked = () => {}
  const reached = new Promise<void>((resolve) => {
    asked = resolve
  })
  sessions.snapshot = async (principal) => {
    if (principal.name === 'late') {
      asked()
      await gate
    }
    return snapshot(principal)
  }
  const outcome = refusal(running, secret)
  await reached
  await root.call('tokens.revoke', { name: 'late' })
  go()
  t.match(await outcome, { code: 4401, error: { code: 'UNAUTHORIZED' } })
})
