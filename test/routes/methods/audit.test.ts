import { readFile, rename, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { isAudited } from '../../../src/auth/audit.js'
import { allContracts } from '../../../src/docs/methods-doc.js'
import { type ConfigOverrides, startApp } from '../../helpers/app.js'
import { BASE, startConfigured } from '../../helpers/config-app.js'
import { asRoot, ROOT } from '../../helpers/identities.js'
import type { TestSocket } from '../../helpers/socket.js'
import { until } from '../../helpers/until.js'

const VIEWER = 'viewer-token-of-tests'
const WRITER = 'writer-token-of-tests'
/** The methods without the scope `admin` whose calls are recorded. */
const CONTROLS = [
  'agent.abort',
  'channels.send',
  'cron.add',
  'cron.remove',
  'cron.run',
  'cron.update',
  'deadLetters.discard',
  'deadLetters.retry',
  'deliveries.discard',
  'deliveries.retry',
  'sessions.delete',
  'sessions.patch',
  'sessions.reset',
]

function start(t: Test, overrides: ConfigOverrides = {}) {
  const tokens = [
    { name: 'root', token: ROOT },
    { name: 'viewer', token: VIEWER, role: 'viewer' as const },
    { name: 'writer', token: WRITER, scopes: ['read' as const, 'write' as const] },
    { name: 'team', token: 'confined-admin-of-tests', sessions: ['team:*'] },
  ]
  return startApp(t, { ...overrides, auth: { tokens } })
}

interface Entry {
  method: string
  principal: string | null
  address: string
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

t.test('says of each method whether its calls are recorded', async (t) => {
  for (const contract of allContracts()) {
    const { name, scope } = contract
    t.equal(isAudited(contract), scope === 'admin' || CONTROLS.includes(name), name)
  }
  const security = await readFile('docs/security.md', 'utf8')
  for (const name of CONTROLS) t.ok(security.includes(`\`${name}\``), `${name} is in docs/security.md`)
})

t.test('who controls without being an administrator is recorded, and conversation is not', async (t) => {
  const { app, connect } = await start(t)
  const root = await connect(asRoot)
  const writer = await connect({ auth: { token: WRITER } })
  const key = 'web:1:main'
  const params = { name: 'nightly', schedule: { everyMs: 60_000 } }
  const payload = { kind: 'agentTurn', message: 'what nobody else reads' }
  const { job } = await writer.call('cron.add', { ...params, payload })
  const { jobId } = job
  await writer.call('cron.remove', { jobId })
  await writer.call('sessions.send', { content: 'hello', wait: true }, key)
  await writer.call('sessions.reset', {}, key)
  await writer.refused('deadLetters.retry', { eventId: 'evt_none' })
  await writer.call('agent.abort', { reason: 'because' }, key)
  const viewer = await connect({ auth: { token: VIEWER } })
  await viewer.refused('sessions.delete', {}, key)
  await app.audit.flush()
  const found = await entries(root)
  t.match(found, [
    { principal: 'writer', method: 'cron.add', outcome: 'OK', target: { name: 'nightly', jobId } },
    { principal: 'writer', method: 'cron.remove', outcome: 'OK', target: { jobId } },
    { principal: 'writer', method: 'sessions.reset', outcome: 'OK', sessionKey: key },
    { method: 'deadLetters.retry', outcome: 'NOT_FOUND', target: { eventId: 'evt_none' } },
    { method: 'agent.abort', outcome: 'OK', sessionKey: key, target: {} },
    { principal: 'viewer', method: 'sessions.delete', outcome: 'FORBIDDEN', sessionKey: key },
  ])
  t.equal(found.length, 6)
  t.notMatch(JSON.stringify(found), /nobody else|because|hello/)
})

t.test('a change of the configuration is recorded with what has changed, whoever made it', async (t) => {
  const text = BASE.replace('watchIntervalMs: 0', 'watchIntervalMs: 5')
  const { app, connect, read, path } = await startConfigured(t, { text })
  /** Whole, or the file would be seen half written. */
  const replace = async (content: string) => {
    await writeFile(`${path}.new`, content)
    await rename(`${path}.new`, path)
  }
  const socket = await connect()
  const { hash } = await socket.call('config.get')
  await socket.call('config.set', { path: 'lanes.capacity', value: 5 })
  await socket.refused('config.patch', { patch: {}, baseHash: hash })
  const { hash: baseHash } = await socket.call('config.get')
  const patch = { basePath: '/gw', lanes: { concurrency: 3 } }
  await socket.call('config.patch', { patch, baseHash })
  await socket.call('config.reload')
  const mine = ['config.get', 'config.get', 'config.set', 'config.patch', 'config.patch', 'config.reload']
  await until(() => app.audit.stats.recorded === mine.length)
  const before = await read()
  await replace(before.replace('capacity: 5', 'capacity: 6'))
  await until(() => app.audit.stats.recorded === mine.length + 1)
  await replace(before.replace('capacity: 5', 'capacity: many'))
  await until(() => app.audit.stats.recorded === mine.length + 2)
  await t.rejects(app.configControl.reload({ source: 'signal', by: null }))
  await app.audit.flush()
  const found = (await entries(socket)).filter(({ method }) => method !== 'config.get')
  t.match(
    found.map(({ principal, address, method, outcome, target }) => [
      ...[principal, address, method, outcome],
      target.paths,
    ]),
    [
      ['anonymous', '127.0.0.1', 'config.set', 'OK', ['lanes.capacity']],
      ['anonymous', '127.0.0.1', 'config.patch', 'CONFLICT', undefined],
      ['anonymous', '127.0.0.1', 'config.patch', 'OK', ['lanes.concurrency', 'basePath']],
      ['anonymous', '127.0.0.1', 'config.reload', 'OK', []],
      [null, 'file', 'config.reload', 'OK', ['lanes.capacity']],
      [null, 'file', 'config.reload', 'INVALID_REQUEST', []],
      [null, 'signal', 'config.reload', 'INVALID_REQUEST', []],
    ],
  )
  t.equal(found.length, 7)
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
