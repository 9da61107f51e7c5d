import type { Database } from 'better-sqlite3'
import { MESSAGE_EVENT } from './apply.js'
import { type EventRow, type KeyRow, type SessionRow, STATUS, type Store } from './store.js'

const SESSION_COLUMNS = 'key, channel, title, agent, metadata, paused, created_at, updated_at, reset_seq'

/** The statements, prepared once: what varies is bound, never put into the text. */
const prepare = (db: Database) => ({
  findKey: db.prepare<unknown[], KeyRow>(
    'SELECT event_id AS id, seq, digest, at FROM idempotency WHERE session_key = ? AND key = ?',
  ),
  putKey: db.prepare(
    'INSERT OR REPLACE INTO idempotency (session_key, key, event_id, seq, digest, at) VALUES (?, ?, ?, ?, ?, ?)',
  ),
  hasSession: db.prepare('SELECT 1 FROM sessions WHERE key = ?').pluck(),
  insertSession: db.prepare(`INSERT INTO sessions (${SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
  putSession: db
    .prepare<unknown[], number>(
      `INSERT INTO sessions (${SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET channel = excluded.channel, title = excluded.title, agent = excluded.agent,
         metadata = excluded.metadata, paused = excluded.paused, created_at = excluded.created_at,
         updated_at = excluded.updated_at, reset_seq = max(sessions.reset_seq, excluded.reset_seq)
       RETURNING reset_seq`,
    )
    .pluck(),
  touchSession: db.prepare('UPDATE sessions SET updated_at = ? WHERE key = ? AND updated_at < ?'),
  removeSession: db.prepare('DELETE FROM sessions WHERE key = ?'),
  removeMessages: db.prepare(`DELETE FROM entries WHERE session_key = ? AND event = '${MESSAGE_EVENT}'`),
  removeEnded: db.prepare('DELETE FROM inbox WHERE session_key = ? AND status <> 0'),
  removeKeys: db.prepare(
    `DELETE FROM idempotency WHERE session_key = ?
       AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = idempotency.event_id AND inbox.status = 0)`,
  ),
  expireMessages: db.prepare(
    `INSERT INTO expiry (at, session_key, up_to) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET up_to = max(expiry.up_to, excluded.up_to)`,
  ),
  insertEvent: db.prepare(
    `INSERT INTO inbox (id, seq, status, session_key, type, source, at, priority, idempotency_key, attempts, payload)
     VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO NOTHING`,
  ),
  insertEntry: db.prepare(
    'INSERT INTO entries (seq, event, session_key, at, payload) VALUES (?, ?, ?, ?, ?)',
  ),
  isPending: db.prepare('SELECT 1 FROM inbox WHERE id = ? AND session_key = ? AND status = 0').pluck(),
  // Only a dead letter is handled again, so only it keeps what it was about; the rest is in the session's messages.
  endEvent: db.prepare(
    `UPDATE inbox SET status = ?, attempts = ?, error = ?, reply_seq = ?, done_at = ?,
       payload = iif(?, payload, NULL)
     WHERE id = ? AND session_key = ? AND status = 0`,
  ),
  reviveEvent: db.prepare(
    `UPDATE inbox SET status = 0, attempts = 0, error = NULL, reply_seq = NULL, done_at = NULL
     WHERE id = ? AND status = 2`,
  ),
  discardEvent: db.prepare(
    'UPDATE inbox SET status = 4, done_at = ?, payload = NULL WHERE id = ? AND status = 2',
  ),
  getSeq: db.prepare<unknown[], number>("SELECT value FROM meta WHERE name = 'seq'").pluck(),
  setSeq: db.prepare("UPDATE meta SET value = ? WHERE name = 'seq'"),
})

/** The write side of the database file; the caller begins and ends the transactions. */
export class SqliteStore implements Store {
  lastSeq: number
  readonly #sql: ReturnType<typeof prepare>
  /** Sessions that this transaction touched: each is written once, at its end. */
  readonly #touched = new Map<string, number>()

  constructor(db: Database) {
    this.#sql = prepare(db)
    this.lastSeq = this.#sql.getSeq.get() ?? 0
  }

  /** Before a commit: writes what was gathered. */
  flush(): void {
    for (const [key, at] of this.#touched) this.#sql.touchSession.run(at, key, at)
    this.#touched.clear()
    this.#sql.setSeq.run(this.lastSeq)
  }

  /** After a rollback. */
  restore(lastSeq: number): void {
    this.#touched.clear()
    this.lastSeq = lastSeq
  }

  findKey(sessionKey: string, key: string): KeyRow | undefined {
    return this.#sql.findKey.get(sessionKey, key)
  }

  putKey(sessionKey: string, key: string, { id, seq, digest, at }: KeyRow): void {
    this.#sql.putKey.run(sessionKey, key, id, seq, digest, at)
  }

  hasSession(key: string): boolean {
    return this.#sql.hasSession.get(key) !== undefined
  }

  insertSession(row: SessionRow): void {
    this.#touched.delete(row.key)
    this.#sql.insertSession.run(...sessionValues(row))
  }

  putSession(row: SessionRow): number {
    this.#touched.delete(row.key)
    return this.#sql.putSession.get(...sessionValues(row)) ?? row.resetSeq
  }

  touchSession(key: string, at: number): void {
    const before = this.#touched.get(key)
    if (before === undefined || before < at) this.#touched.set(key, at)
  }

  removeSession(key: string): boolean {
    this.#touched.delete(key)
    if (this.#sql.removeSession.run(key).changes === 0) return false
    this.#sql.removeMessages.run(key)
    this.#sql.removeEnded.run(key)
    this.#sql.removeKeys.run(key)
    return true
  }

  expireMessages(sessionKey: string, seq: number, now: number): void {
    this.#sql.expireMessages.run(now, sessionKey, seq)
  }

  insertEvent(row: EventRow): boolean {
    const { id, seq, sessionKey, type, source, at, priority, idempotencyKey, payload } = row
    const { changes } = this.#sql.insertEvent.run(
      id,
      seq,
      sessionKey,
      type,
      source,
      at,
      priority,
      idempotencyKey,
      payload,
    )
    return changes === 1
  }

  insertEntry(seq: number, event: string, sessionKey: string | null, at: number, payload: string): void {
    this.#sql.insertEntry.run(seq, event, sessionKey, at, payload)
  }

  isPending(id: string, sessionKey: string): boolean {
    return this.#sql.isPending.get(id, sessionKey) !== undefined
  }

  endEvent(
    id: string,
    sessionKey: string,
    status: number,
    attempts: number,
    error: string | null,
    replySeq: number | null,
    now: number,
  ): boolean {
    const keep = status === STATUS.failed ? 1 : 0
    return this.#sql.endEvent.run(status, attempts, error, replySeq, now, keep, id, sessionKey).changes === 1
  }

  reviveEvent(id: string): boolean {
    return this.#sql.reviveEvent.run(id).changes === 1
  }

  discardEvent(id: string, now: number): boolean {
    return this.#sql.discardEvent.run(now, id).changes === 1
  }
}

const sessionValues = (row: SessionRow) => [
  row.key,
  row.channel,
  row.title,
  row.agent,
  row.metadata,
  row.paused,
  row.createdAt,
  row.updatedAt,
  row.resetSeq,
]
