import t, { type Test } from 'tap'
import { type ConfigOverrides, startApp } from '../../helpers/app.js'
import { asRoot, ROOT } from '../../helpers/identities.js'
import type { TestSocket } from '../../helpers/socket.js'
import { until } from '../../helpers/until.js'

const VIEWER = 'viewer-token-of-tests'

function start(t: Test, overrides: ConfigOverrides = {}) {
  const tokens = [
    { name: 'root', token: ROOT },
    { name: 'viewer', token: VIEWER, role: 'viewer' as const },
    { name: 'team', token: 'confined-admin-of-tests', sessions: ['team:*'] },
  ]
  return startApp(t, { ...overrides, auth: { tokens } })
}

interface Entry {
  method: string
  principal: string | null
  outcome: string
  target: Record<string, unknown>
}

/** The entries so far, without those of the listing itself, oldest first. */
async function entries(root: TestSocket): Promise<Entry[]> {
  const all: Entry[] = (await root.call('audit.list', { limit: 500 })).entries
  return all.filter(({ method }) => method !== 'audit.list').reverse()
}

t.test('what administrators do is recorded: who, what, from where, and how it ended', async (t) => {
  const { app, connect } = await start(t)
  const root = await connect(asRoot)
  const { secret, token } = await root.call('tokens.new', { name: 'ci', role: 'viewer', expiresInMs: 60_000 })
  await root.refused('tokens.new', { name: 'ci' })
  await root.call('tokens.revoke', { name: 'ci' })
  await root.refused('lanes.pause', {}, 'web:1:main')
  const viewer = await connect({ auth: { token: VIEWER } })
  await viewer.refused('tokens.list')
  await viewer.call('sessions.list')
  await app.audit.flush()
  const found = await entries(root)
  t.match(
    found.map(({ principal, method, outcome }) => [principal, method, outcome]),
    [
      ['root', 'tokens.new', 'OK'],
      ['root', 'tokens.new', 'CONFLICT'],
      ['root', 'tokens.revoke', 'OK'],
      ['root', 'lanes.pause', 'NOT_FOUND'],
      ['viewer', 'tokens.list', 'FORBIDDEN'],
    ],
  )
  t.match(found[0], {
    auditId: /^aud_/,
    address: '127.0.0.1',
    connId: root.helloOk!.server.connId,
    sessionKey: null,
    target: { name: 'ci', role: 'viewer', expiresInMs: 60_000, tokenId: token.tokenId },
  })
  t.match(found[3], { sessionKey: 'web:1:main' })
  t.notMatch(JSON.stringify(found), secret)
})

t.test('an action is recorded though whoever asked for it has gone', async (t) => {
  const { app, connect } = await start(t)
  const root = await connect(asRoot)
  const other = await connect(asRoot)
  other.send({ type: 'request', id: 'n', method: 'tokens.new', params: { name: 'left-behind' } })
  other.terminate()
  await until(() => app.audit.stats.recorded === 1)
  t.match(await entries(root), [{ method: 'tokens.new', target: { name: 'left-behind' } }])
})

t.test('failed logins are recorded, up to a bound, without what was tried', async (t) => {
  const { app, open, connect, url } = await start(t, { audit: { maxRefusedPerMinute: 3 } })
  const guess = 'a-guess-at-some-token'
  await (await open()).hello({ auth: { token: guess } })
  await fetch(`${url}/methods`, { headers: { authorization: `Bearer ${guess}` } })
  for (let i = 0; i < 5; i++) await (await open()).hello({ auth: { token: guess } })
  await app.audit.flush()
  const root = await connect(asRoot)
  const found = await entries(root)
  t.match(
    found.map(({ principal, method, outcome }) => [principal, method, outcome]),
    [
      [null, 'hello', 'UNAUTHORIZED'],
      [null, 'http', 'UNAUTHORIZED'],
      [null, 'hello', 'UNAUTHORIZED'],
    ],
  )
  t.notMatch(JSON.stringify(found), guess)
  t.equal(app.audit.stats.leftOut, 4)
  t.match(await (await fetch(`${url}/metrics`)).text(), /gateway_audit_entries_total{outcome="left_out"} 4/)
})

t.test('the list goes by pages and filters', async (t) => {
  const { app, connect } = await start(t)
  const root = await connect(asRoot)
  for (let i = 0; i < 5; i++) await root.call('tokens.new', { name: `t${i}` })
  const team = await connect({ auth: { token: 'confined-admin-of-tests' } })
  await team.call('tokens.list')
  await app.audit.flush()
  const names: unknown[] = []
  let cursor: string | undefined
  do {
    const page = await root.call('audit.list', { method: 'tokens.new', limit: 2, cursor })
    names.push(...page.entries.map(({ target }: Entry) => target.name))
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  t.strictSame(names, ['t4', 't3', 't2', 't1', 't0'])
  await app.audit.flush()
  t.match(await root.call('audit.list', { principal: 'team' }), {
    entries: [{ method: 'tokens.list', principal: 'team' }],
    nextCursor: null,
  })
  const later = Date.now() + 60_000
  t.match(await root.call('audit.list', { since: later }), { entries: [], nextCursor: null })
  t.match(await root.refused('audit.list', { cursor: 'nonsense' }), { code: 'INVALID_REQUEST' })
  t.match(await team.refused('audit.list'), { code: 'FORBIDDEN' }, 'it is about every session')
})

t.test('a journal that cannot take the record fails no action, and is counted', async (t) => {
  const { app, connect } = await start(t)
  const { journal } = app
  const save = journal.saveDocuments.bind(journal)
  journal.saveDocuments = async (records, given) => {
    if (records.some(({ kind }) => kind === 'audit')) throw new Error('the disk is full')
    await save(records, given)
  }
  const root = await connect(asRoot)
  t.match(await root.call('tokens.new', { name: 'ci' }), { token: { name: 'ci' } })
  await app.audit.flush()
  t.strictSame(app.audit.stats, { recorded: 0, leftOut: 0, failed: 1 })
})
