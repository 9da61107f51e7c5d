import type { Database } from 'better-sqlite3'
import type { InboundEvent } from '../protocol/index.js'
import { sendScope } from './apply-outbox.js'
import { idsOfSuffix } from './ids.js'
import type { DeadLetterRecord, Duplicate, RunOutcome, StoredEntry } from './journal.js'
import type { SentBefore } from './outbox.js'
import type { Page, Reads } from './reads.js'
import { type DeadRow, deadLetterOf, eventOf, type OutcomeRow, outcomeOf, sentBeforeOf } from './rows.js'
import { SqliteDocumentReads } from './sqlite-documents.js'
import { Sqlite } from './sqlite-driver.js'
import { SqliteOutboxReads } from './sqlite-outbox-reads.js'
import { SqliteSessionReads } from './sqlite-session-reads.js'
import type { EndRow, EventRow, KeyRow } from './store.js'

const BUSY_TIMEOUT_MS = 2_000
const CACHE_KIB = 8 * 1024

const ENTRY = 'seq, event, session_key AS sessionKey, at, payload'
const EVENT = `id, seq, session_key AS sessionKey, type, source, at, priority,
  idempotency_key AS idempotencyKey, payload, trace`
const DEAD = `${EVENT}, error, attempts, merged_into AS mergedInto, done_at AS doneAt`

const prepare = (db: Database) => ({
  key: db.prepare<unknown[], KeyRow>(
    'SELECT event_id AS id, seq, digest, at FROM idempotency WHERE session_key = ? AND key = ?',
  ),
  outcome: db.prepare<unknown[], OutcomeRow & Pick<EndRow, 'replySeq'>>(
    `SELECT id, session_key AS sessionKey, status, error, reply_seq AS replySeq, merged_into AS mergedInto
     FROM inbox WHERE id = ?`,
  ),
  entry: db.prepare<unknown[], StoredEntry>(`SELECT ${ENTRY} FROM entries WHERE seq = ?`),
  entries: db.prepare<unknown[], StoredEntry>(
    `SELECT ${ENTRY} FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
  ),
  pending: db.prepare<unknown[], EventRow>(
    `SELECT ${EVENT} FROM inbox WHERE status = 0 AND seq > ? ORDER BY seq LIMIT ?`,
  ),
  deadLetter: db.prepare<unknown[], DeadRow>(`SELECT ${DEAD} FROM inbox WHERE id = ? AND status = 1`),
  deadLetters: db.prepare<unknown[], DeadRow>(
    `SELECT ${DEAD} FROM inbox WHERE status = 1 AND seq > ? ORDER BY seq LIMIT ?`,
  ),
  countDeadLetters: db.prepare<unknown[], { count: number; last: number | null }>(
    `SELECT count(*) AS count, max(seq) AS last
     FROM (SELECT seq FROM inbox WHERE status = 1 AND seq > ? ORDER BY seq LIMIT ?)`,
  ),
  oldestDeath: db
    .prepare<unknown[], number>('SELECT done_at FROM inbox WHERE status = 1 ORDER BY done_at LIMIT 1')
    .pluck(),
})

/** Reads the database on a connection of its own, which cannot write. No statement is left open between two calls. */
export class SqliteReads implements Reads {
  readonly #db: Database
  readonly #sql: ReturnType<typeof prepare>
  readonly outbox: SqliteOutboxReads
  readonly documents: SqliteDocumentReads
  readonly sessions: SqliteSessionReads

  constructor(path: string) {
    this.#db = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
    try {
      this.#db.pragma(`cache_size = -${CACHE_KIB}`)
      this.#sql = prepare(this.#db)
      this.outbox = new SqliteOutboxReads(this.#db)
      this.documents = new SqliteDocumentReads(this.#db)
      this.sessions = new SqliteSessionReads(this.#db)
    } catch (error) {
      this.#db.close()
      throw error
    }
  }

  /** Calling it twice is fine. */
  close(): void {
    this.#db.close()
  }

  duplicate(sessionKey: string, key: string, since: number): Duplicate | null {
    const row = this.#sql.key.get(sessionKey, key)
    if (row === undefined || row.at <= since) return null
    return { ...idsOfSuffix(row.id), seq: row.seq, digest: row.digest }
  }

  sentBefore(sessionKey: string, key: string, since: number): SentBefore | null {
    return sentBeforeOf(this.#sql.key.get(sendScope(sessionKey), key), since)
  }

  outcome(id: string): RunOutcome | null {
    const row = this.#sql.outcome.get(id)
    if (row === undefined) return null
    const message = row.replySeq === null ? undefined : this.#sql.entry.get(row.replySeq)
    return outcomeOf(row, message ?? null)
  }

  pending(after: number, limit: number): InboundEvent[] {
    return this.#sql.pending.all(after, limit).map(eventOf)
  }

  entries(after: number, upTo: number, limit: number): StoredEntry[] {
    return this.#sql.entries.all(after, upTo, limit)
  }

  entriesAt(positions: readonly number[]): StoredEntry[] {
    return positions.map((seq) => this.#sql.entry.get(seq)).filter((entry) => entry !== undefined)
  }

  deadLetter(id: string): DeadLetterRecord | null {
    const row = this.#sql.deadLetter.get(id)
    return row === undefined ? null : deadLetterOf(row)
  }

  countDeadLetters(after: number, limit: number): Page<number, number> {
    const { count, last } = this.#sql.countDeadLetters.get(after, limit) ?? { count: 0, last: null }
    return { items: [count], last: count < limit ? null : last }
  }

  oldestDeath(): number | null {
    return this.#sql.oldestDeath.get() ?? null
  }

  deadLetters(
    after: number,
    limit: number,
    matches: (sessionKey: string) => boolean,
  ): Page<DeadLetterRecord, number> {
    const rows = this.#sql.deadLetters.all(after, limit)
    return {
      items: rows.filter(({ sessionKey }) => matches(sessionKey)).map(deadLetterOf),
      last: rows.length < limit ? null : (rows.at(-1)?.seq ?? null),
    }
  }
}
