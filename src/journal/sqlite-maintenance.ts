import type { Database } from 'better-sqlite3'
import { failpoint } from '#failpoint'
import type { MaintenanceStep } from './maintenance.js'
import { SqliteSearchIndex } from './sqlite-search-index.js'
import { SqliteTrim } from './sqlite-trim.js'

/** Rows that one step removes: some milliseconds, after which waiting writes have their turn. */
const STEP_ROWS = 500
/** Free pages that one step gives back to the file system. */
const STEP_PAGES = 500
/** Free pages that stay for what comes next: 4 MiB. */
const SPARE_PAGES = 1_000

interface Expiry {
  readonly at: number
  readonly head: number
}

const prepare = (db: Database) => ({
  ended: db.prepare(
    `DELETE FROM inbox WHERE id IN
       (SELECT id FROM inbox WHERE status > 1 AND done_at < ? ORDER BY done_at LIMIT ${STEP_ROWS})`,
  ),
  keys: db.prepare(
    `DELETE FROM idempotency WHERE (session_key, key) IN
       (SELECT session_key, key FROM idempotency WHERE at <= ? ORDER BY at LIMIT ${STEP_ROWS})`,
  ),
  documents: db.prepare(
    `DELETE FROM documents WHERE (kind, id) IN
       (SELECT kind, id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ${STEP_ROWS})`,
  ),
  planEntries: db
    .prepare<unknown[], number | null>(
      `SELECT max(seq) FROM (SELECT seq FROM entries WHERE prev IS NULL AND at < ? ORDER BY at LIMIT ${STEP_ROWS})`,
    )
    .pluck(),
  entries: db.prepare(
    `DELETE FROM entries WHERE seq IN
       (SELECT seq FROM entries WHERE prev IS NULL AND at < ? AND seq <= ? ORDER BY at LIMIT ${STEP_ROWS})`,
  ),
  expiry: db.prepare<unknown[], Expiry>('SELECT at, head FROM expiry WHERE at < ? ORDER BY at, head LIMIT 1'),
  isHeld: db.prepare('SELECT 1 FROM entries WHERE seq = ?').pluck(),
  removeMessage: db.prepare<unknown[], number>('DELETE FROM entries WHERE seq = ? RETURNING prev').pluck(),
  expire: db.prepare('INSERT OR IGNORE INTO expiry (at, head) VALUES (?, ?)'),
  removeExpiry: db.prepare('DELETE FROM expiry WHERE at = ? AND head = ?'),
  setPurged: db.prepare("UPDATE meta SET value = max(value, ?) WHERE name = 'purged'"),
})

/** The steps of retention on the database, each a transaction of its own; `maintenance.ts` says when which. */
export class SqliteMaintenance {
  readonly #db: Database
  readonly #sql: ReturnType<typeof prepare>
  readonly #search: SqliteSearchIndex
  readonly #trim: SqliteTrim

  constructor(db: Database) {
    this.#db = db
    this.#sql = prepare(db)
    this.#search = new SqliteSearchIndex(db)
    this.#trim = new SqliteTrim(db)
  }

  /** See `MaintenanceStep` for what goes in and comes out. */
  step(step: MaintenanceStep, cutoff: number, upTo: number): number {
    switch (step) {
      case 'ended':
        return this.#sql.ended.run(cutoff).changes
      case 'keys':
        return this.#sql.keys.run(cutoff).changes
      case 'documents':
        return this.#sql.documents.run(cutoff).changes
      case 'planEntries':
        return this.#sql.planEntries.get(cutoff) ?? 0
      case 'entries':
        return this.#transaction(() => this.#removeEntries(cutoff, upTo))
      case 'planExpired':
        return this.#transaction(() => this.#planExpired(cutoff))
      case 'expired':
        return this.#transaction(() => this.#removeExpired(cutoff, upTo))
      case 'trim':
        return this.#transaction(() => this.#trim.step(cutoff))
      case 'unindex':
        return this.#transaction(() => this.#search.remove())
      case 'index':
        return this.#transaction(() => this.#search.add())
      case 'vacuum':
        return this.#vacuum()
      case 'checkpoint':
        this.#db.pragma('wal_checkpoint(PASSIVE)')
        return 0
    }
  }

  #transaction<T>(work: () => T): T {
    return this.#db.transaction(work).immediate()
  }

  #removeEntries(cutoff: number, upTo: number): number {
    const { changes } = this.#sql.entries.run(cutoff, upTo)
    failpoint('retention.entries')
    this.#sql.setPurged.run(upTo)
    return changes
  }

  /** The head of the oldest chain that is due. One that is gone already is done. */
  #planExpired(cutoff: number): number {
    for (let looked = 0; looked < STEP_ROWS; looked++) {
      const next = this.#sql.expiry.get(cutoff)
      if (next === undefined) return 0
      if (this.#sql.isHeld.get(next.head) !== undefined) return next.head
      this.#sql.removeExpiry.run(next.at, next.head)
    }
    return 0
  }

  /** Removes from the head on; what remains of the chain is due next. */
  #removeExpired(cutoff: number, upTo: number): number {
    const due = this.#sql.expiry.get(cutoff)
    if (due === undefined || due.head > upTo) return 0
    this.#sql.setPurged.run(upTo)
    let next = due.head
    let count = 0
    for (; next > 0 && count < STEP_ROWS; count++) next = this.#sql.removeMessage.get(next) ?? 0
    failpoint('retention.expired')
    this.#sql.removeExpiry.run(due.at, due.head)
    if (next > 0) this.#sql.expire.run(due.at, next)
    return count
  }

  /** Returns how many pages it gave back. */
  #vacuum(): number {
    const free = () => this.#db.pragma('freelist_count', { simple: true }) as number
    const before = free()
    if (before <= SPARE_PAGES) return 0
    this.#db.exec(`PRAGMA incremental_vacuum(${Math.min(before - SPARE_PAGES, STEP_PAGES)})`)
    return before - free()
  }
}
