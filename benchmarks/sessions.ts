import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { ANONYMOUS, createPrincipal, type Principal } from '../src/auth/principal.js'
import { openSqliteJournal } from '../src/journal/sqlite.js'
import { Sqlite } from '../src/journal/sqlite-driver.js'
import { encodeCursor } from '../src/sessions/cursor.js'
import { type ListOptions, Sessions } from '../src/sessions/sessions.js'
import { median } from './harness.js'
import { printTable } from './table.js'

// node dist/benchmarks/sessions.js [count] [folder]: what a page of the list costs among so many sessions (1,000,000). A tenth of
// them is of the channel `few`; one in a thousand has an agent of its own.

const COUNT = Number(process.argv[2] ?? 1_000_000)
const ROUNDS = 50
const PAGE = 50
const FIRST_AT = 1_700_000_000_000
const quiet = () => {}

const fill = `
  WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ${COUNT} - 1)
  INSERT INTO sessions (key, channel, title, agent, metadata, paused, created_at, updated_at, reset_seq)
  SELECT iif(n % 10 = 0, 'few', 'many') || ':' || n || ':main', iif(n % 10 = 0, 'few', 'many'), 'Session ' || n,
    iif(n % 1000 = 0, 'helper', NULL), '{}', 0, ${FIRST_AT} + n, ${FIRST_AT} + n, 0 FROM number`

const confined = (...sessions: string[]) =>
  createPrincipal({ name: 'bench', role: 'viewer', scopes: ['read'], sessions })

async function timed(work: () => Promise<unknown>): Promise<string[]> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  return [median(times), Math.max(...times)].map((ms) => ms.toFixed(2))
}

const folder = await mkdtemp(join(process.argv[3] ?? tmpdir(), 'sessions-bench-'))
try {
  const path = join(folder, 'journal.db')
  const options = {
    path,
    maxPendingWrites: 50_000,
    retentionMs: 604_800_000,
    idempotencyWindowMs: 86_400_000,
    log: { debug: quiet, info: quiet, warn: console.warn, error: console.error },
  }
  await (await openSqliteJournal(options)).close()
  const db = new Sqlite(path)
  db.exec(fill)
  db.close()
  const journal = await openSqliteJournal(options)
  const sessions = new Sessions({
    journal,
    cacheSize: 10_000,
    isActive: () => false,
    activeKeys: () => [],
    requireAgent: quiet,
    onDeleted: quiet,
  })
  const deep = FIRST_AT + COUNT - 1_000 * PAGE
  const cases: [string, Principal, ListOptions][] = [
    ['first page', ANONYMOUS, {}],
    ['page 1,000', ANONYMOUS, { cursor: encodeCursor({ updatedAt: deep, key: '' }) }],
    ['of a channel', ANONYMOUS, { channel: 'few' }],
    ['of an agent', ANONYMOUS, { agent: 'helper' }],
    ['of a channel that is not there', ANONYMOUS, { channel: 'none' }],
    ['confined to one session', confined('many:1:main'), {}],
    ['confined to a channel', confined('few:*'), {}],
    ['confined to a beginning', confined('many:9999*'), {}],
    ['confined to an ending that nothing has', confined('*:nobody'), {}],
  ]
  const rows: string[][] = []
  for (const [name, principal, listOptions] of cases) {
    const { sessions: page, nextCursor } = await sessions.list(principal, listOptions)
    const found = `${page.length}${nextCursor === null ? '' : ', and a cursor'}`
    rows.push([name, found, ...(await timed(() => sessions.list(principal, listOptions)))])
  }
  for (const [name, principal] of [
    ['snapshot of a hello', ANONYMOUS],
    ['snapshot, confined to a channel', confined('few:*')],
  ] as const) {
    const make = async () => {
      sessions.activityChanged()
      return sessions.snapshot(principal)
    }
    rows.push([name, '50', ...(await timed(make))])
  }
  await journal.close()
  printTable(
    `List of ${COUNT} sessions, pages of ${PAGE}`,
    ['list', 'found', 'median ms', 'slowest ms'],
    rows,
  )
} finally {
  await rm(folder, { recursive: true })
}
