import type { Database } from 'better-sqlite3'

/** Rows by what they are. */
export interface JournalCounts {
  readonly entries: number
  readonly events: number
  readonly sessions: number
  readonly deliveries: number
  readonly documents: number
}

/** What a journal's file says of itself. */
export interface JournalFacts {
  readonly version: number
  readonly epoch: string
  /** The newest position that it gave. */
  readonly seq: number
  readonly counts: JournalCounts
  /** Events that wait or run. */
  readonly pendingEvents: number
  readonly deadLetters: number
  readonly deadDeliveries: number
  /** The latest time in it, milliseconds since the Unix epoch; null: it is empty. */
  readonly newestAt: number | null
  /** Issued tokens that have expired and are listed still. */
  readonly expiredTokens: readonly string[]
}

const TABLES: Readonly<Record<keyof JournalCounts, string>> = {
  entries: 'entries',
  events: 'inbox',
  sessions: 'sessions',
  deliveries: 'outbox',
  documents: 'documents',
}

/** Of entries that are looked at for the latest time: the clock may have been set between two. */
const NEWEST = 1_000

/** Reads what is there in the schema's version; throws what SQLite throws. */
export function readFacts(db: Database, now: number): JournalFacts {
  const tables = new Set(db.prepare<unknown[], string>('SELECT name FROM sqlite_master').pluck().all())
  const number = (sql: string) => db.prepare<unknown[], number | null>(sql).pluck().get() ?? 0
  const numberOf = (table: string, sql: string) => (tables.has(table) ? number(sql) : 0)
  const meta = db.prepare<unknown[], string | number>('SELECT value FROM meta WHERE name = ?').pluck()
  const count = (table: string) => numberOf(table, `SELECT count(*) FROM ${table}`)
  const newestAt = Math.max(
    number(`SELECT max(at) FROM (SELECT at FROM entries ORDER BY seq DESC LIMIT ${NEWEST})`),
    number('SELECT max(updated_at) FROM sessions'),
  )
  return {
    version: db.pragma('user_version', { simple: true }) as number,
    epoch: String(meta.get('epoch')),
    seq: Number(meta.get('seq')),
    counts: Object.fromEntries(
      Object.entries(TABLES).map(([name, table]) => [name, count(table)]),
    ) as unknown as JournalCounts,
    pendingEvents: number('SELECT count(*) FROM inbox WHERE status = 0'),
    deadLetters: number('SELECT count(*) FROM inbox WHERE status = 1'),
    deadDeliveries: numberOf('outbox', 'SELECT count(*) FROM outbox WHERE status = 1'),
    newestAt: newestAt === 0 ? null : newestAt,
    expiredTokens: tables.has('documents') ? expiredTokens(db, now) : [],
  }
}

function expiredTokens(db: Database, now: number): string[] {
  const expired = `SELECT json_extract(body, '$.name') FROM documents
     WHERE kind = 'token' AND json_extract(body, '$.expiresAt') <= ? ORDER BY at LIMIT 100`
  return db.prepare<unknown[], string>(expired).pluck().all(now)
}
