import type { Database } from 'better-sqlite3'
import { MESSAGE_EVENT } from './apply.js'
import { SqliteDocuments } from './sqlite-documents.js'
import { SqliteOutbox } from './sqlite-outbox.js'
import { type EndRow, type EventRow, type KeyRow, type SessionRow, STATUS, type Store } from './store.js'

const SESSION_COLUMNS =
  'key, channel, title, agent, metadata, paused, queue_mode, created_at, updated_at, reset_seq'

/** Sessions whose place in the chains is remembered between commits: some 20 MiB. */
const MAX_SESSIONS = 100_000
/** What one removal takes of a session's messages and events: some 20 ms. Retention takes the rest. */
const REMOVE_MAX_ROWS = 5_000

/** What is known of a session's row, and what of it is still to be written at the end of the transaction. */
interface SessionState {
  exists: boolean
  lastMessage: number
  lastEvent: string | null
  touchedAt: number
  changed: boolean
}

type Links = Pick<SessionState, 'lastMessage' | 'lastEvent'>

/** The statements, prepared once: what varies is bound, never put into the text. */
const prepare = (db: Database) => ({
  findKey: db.prepare<unknown[], KeyRow>(
    'SELECT event_id AS id, seq, digest, at FROM idempotency WHERE session_key = ? AND key = ?',
  ),
  putKey: db.prepare(
    'INSERT OR REPLACE INTO idempotency (session_key, key, event_id, seq, digest, at) VALUES (?, ?, ?, ?, ?, ?)',
  ),
  links: db.prepare<unknown[], Links>(
    'SELECT last_message AS lastMessage, last_event AS lastEvent FROM sessions WHERE key = ?',
  ),
  setLinks: db.prepare('UPDATE sessions SET last_message = ?, last_event = ? WHERE key = ?'),
  touch: db.prepare(
    'UPDATE sessions SET last_message = ?, last_event = ?, updated_at = max(updated_at, ?) WHERE key = ?',
  ),
  insertSession: db.prepare(
    `INSERT INTO sessions (${SESSION_COLUMNS}, after_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  putSession: db
    .prepare<unknown[], number>(
      `INSERT INTO sessions (${SESSION_COLUMNS}, after_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET channel = excluded.channel, title = excluded.title, agent = excluded.agent,
         metadata = excluded.metadata, paused = excluded.paused, queue_mode = excluded.queue_mode,
         created_at = excluded.created_at, updated_at = excluded.updated_at, reset_seq = max(sessions.reset_seq, excluded.reset_seq)
       RETURNING reset_seq`,
    )
    .pluck(),
  removeSession: db.prepare('DELETE FROM sessions WHERE key = ?'),
  removeMessage: db.prepare<unknown[], number>('DELETE FROM entries WHERE seq = ? RETURNING prev').pluck(),
  previousEvent: db.prepare<unknown[], string | null>('SELECT prev FROM inbox WHERE id = ?').pluck(),
  removeEnded: db.prepare('DELETE FROM inbox WHERE id = ? AND status > 1'),
  removeFailed: db.prepare('DELETE FROM inbox WHERE status = 1 AND session_key = ?'),
  removeKeys: db.prepare(
    `DELETE FROM idempotency WHERE session_key = ?
       AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = idempotency.event_id AND inbox.status = 0)`,
  ),
  expire: db.prepare('INSERT OR IGNORE INTO expiry (at, head) VALUES (?, ?)'),
  insertEvent: db.prepare(
    `INSERT INTO inbox
       (id, prev, seq, status, session_key, type, source, at, priority, idempotency_key, attempts, payload, trace)
     VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT (id) DO NOTHING`,
  ),
  insertEntry: db.prepare(
    'INSERT INTO entries (seq, prev, event, session_key, at, payload) VALUES (?, ?, ?, ?, ?, ?)',
  ),
  isPending: db.prepare('SELECT 1 FROM inbox WHERE id = ? AND session_key = ? AND status = 0').pluck(),
  // Only a dead letter is handled again, so only it keeps what it was about; the rest is in the session's messages.
  endEvent: db.prepare(
    `UPDATE inbox SET status = ?, attempts = ?, error = ?, reply_seq = ?, merged_into = ?, done_at = ?,
       payload = iif(?, payload, NULL), trace = iif(?, trace, NULL)
     WHERE id = ? AND session_key = ? AND status = 0`,
  ),
  reviveEvent: db.prepare(
    `UPDATE inbox
     SET status = 0, attempts = 0, error = NULL, reply_seq = NULL, merged_into = NULL, done_at = NULL
     WHERE id = ? AND status = 1`,
  ),
  discardEvent: db.prepare(
    'UPDATE inbox SET status = 4, done_at = ?, payload = NULL, trace = NULL WHERE id = ? AND status = 1',
  ),
  getSeq: db.prepare<unknown[], number>("SELECT value FROM meta WHERE name = 'seq'").pluck(),
  setSeq: db.prepare("UPDATE meta SET value = ? WHERE name = 'seq'"),
})

/** The write side of the database file; the caller begins and ends the transactions. */
export class SqliteStore implements Store {
  lastSeq: number
  readonly outbox: SqliteOutbox
  readonly documents: SqliteDocuments
  readonly #sql: ReturnType<typeof prepare>
  readonly #sessions = new Map<string, SessionState>()
  /** Keys of those that this transaction changed: each is written once, at its end. */
  readonly #changed: string[] = []

  constructor(db: Database) {
    this.#sql = prepare(db)
    this.outbox = new SqliteOutbox(db)
    this.documents = new SqliteDocuments(db)
    this.lastSeq = this.#sql.getSeq.get() ?? 0
  }

  /** Before a commit: writes what was gathered. */
  flush(): void {
    for (const key of this.#changed) {
      const state = this.#sessions.get(key)
      if (!state?.changed) continue
      const { lastMessage, lastEvent, touchedAt } = state
      if (touchedAt > 0) this.#sql.touch.run(lastMessage, lastEvent, touchedAt, key)
      else this.#sql.setLinks.run(lastMessage, lastEvent, key)
      state.touchedAt = 0
      state.changed = false
    }
    this.#changed.length = 0
    this.#sql.setSeq.run(this.lastSeq)
    if (this.#sessions.size > MAX_SESSIONS) this.#sessions.clear()
  }

  /** After a rollback. */
  restore(lastSeq: number): void {
    this.#sessions.clear()
    this.#changed.length = 0
    this.lastSeq = lastSeq
  }

  #session(key: string): SessionState {
    const known = this.#sessions.get(key)
    if (known !== undefined) return known
    const links = this.#sql.links.get(key)
    const { lastMessage, lastEvent } = links ?? { lastMessage: 0, lastEvent: null }
    const state = { exists: links !== undefined, lastMessage, lastEvent, touchedAt: 0, changed: false }
    this.#sessions.set(key, state)
    return state
  }

  #change(key: string, state: SessionState): void {
    if (state.changed) return
    state.changed = true
    this.#changed.push(key)
  }

  findKey(sessionKey: string, key: string): KeyRow | undefined {
    return this.#sql.findKey.get(sessionKey, key)
  }

  putKey(sessionKey: string, key: string, { id, seq, digest, at }: KeyRow): void {
    this.#sql.putKey.run(sessionKey, key, id, seq, digest, at)
  }

  hasSession(key: string): boolean {
    return this.#session(key).exists
  }

  insertSession(row: SessionRow, eventId: string): void {
    this.#sql.insertSession.run(...sessionValues(row), this.lastSeq)
    const state = this.#session(row.key)
    state.exists = true
    state.lastEvent = eventId
    this.#change(row.key, state)
  }

  putSession(row: SessionRow): number {
    const state = this.#session(row.key)
    state.exists = true
    state.touchedAt = 0
    return this.#sql.putSession.get(...sessionValues(row), this.lastSeq) ?? row.resetSeq
  }

  touchSession(key: string, at: number): void {
    const state = this.#session(key)
    if (!state.exists || at <= state.touchedAt) return
    state.touchedAt = at
    this.#change(key, state)
  }

  removeSession(key: string): boolean {
    const { exists, lastMessage, lastEvent } = this.#session(key)
    if (!exists) return false
    this.#sessions.delete(key)
    this.#sql.removeSession.run(key)
    const rest = this.#removeMessages(lastMessage)
    // Of no time: due at once.
    if (rest > 0) this.#sql.expire.run(0, rest)
    this.#removeEnded(lastEvent)
    this.#sql.removeFailed.run(key)
    this.#sql.removeKeys.run(key)
    return true
  }

  /** Returns where the chain goes on, or 0. */
  #removeMessages(head: number): number {
    let next = head
    for (let count = 0; next > 0 && count < REMOVE_MAX_ROWS; count++) {
      next = this.#sql.removeMessage.get(next) ?? 0
    }
    return next
  }

  #removeEnded(head: string | null): void {
    let next = head
    for (let count = 0; next !== null && count < REMOVE_MAX_ROWS; count++) {
      const previous = this.#sql.previousEvent.get(next) ?? null
      this.#sql.removeEnded.run(next)
      next = previous
    }
  }

  expireMessages(sessionKey: string, now: number): void {
    const { lastMessage } = this.#session(sessionKey)
    if (lastMessage > 0) this.#sql.expire.run(now, lastMessage)
  }

  insertEvent(row: EventRow): boolean {
    const { id, seq, sessionKey, type, source, at, priority, idempotencyKey, payload, trace } = row
    const state = this.#session(sessionKey)
    const inserted = this.#sql.insertEvent.run(
      id,
      state.lastEvent,
      seq,
      sessionKey,
      type,
      source,
      at,
      priority,
      idempotencyKey,
      payload,
      trace,
    )
    if (inserted.changes === 0) return false
    if (state.exists) {
      state.lastEvent = id
      this.#change(sessionKey, state)
    }
    return true
  }

  insertEntry(seq: number, event: string, sessionKey: string | null, at: number, payload: string): void {
    let previous: number | null = null
    if (event === MESSAGE_EVENT && sessionKey !== null) {
      const state = this.#session(sessionKey)
      if (state.exists) {
        previous = state.lastMessage
        state.lastMessage = seq
        this.#change(sessionKey, state)
      }
    }
    this.#sql.insertEntry.run(seq, previous, event, sessionKey, at, payload)
  }

  isPending(id: string, sessionKey: string): boolean {
    return this.#sql.isPending.get(id, sessionKey) !== undefined
  }

  endEvent(id: string, sessionKey: string, end: EndRow): boolean {
    const { status, attempts, error, replySeq, mergedInto, doneAt } = end
    const keep = status === STATUS.failed ? 1 : 0
    const { endEvent } = this.#sql
    const kept = [keep, keep]
    const ended = endEvent.run(status, attempts, error, replySeq, mergedInto, doneAt, ...kept, id, sessionKey)
    return ended.changes === 1
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
  row.queueMode,
  row.createdAt,
  row.updatedAt,
  row.resetSeq,
]
