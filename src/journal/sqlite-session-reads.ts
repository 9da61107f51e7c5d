import type { Database } from 'better-sqlite3'
import type { SessionRecord, StoredEntry } from './journal.js'
import type { Page, SessionFilter, SessionPosition, SessionReads } from './reads.js'
import { sessionOf } from './rows.js'
import type { SessionRow } from './store.js'

const ENTRY = 'seq, event, session_key AS sessionKey, at, payload'
const SESSION = `key, channel, title, agent, metadata, paused, created_at AS createdAt, updated_at AS updatedAt,
  reset_seq AS resetSeq, queue_mode AS queueMode`
/** Greater than whatever may follow a prefix. */
const LAST_CHARACTER = '\u{10ffff}'

interface MessageRow extends StoredEntry {
  readonly prev: number
}

/** One index each; two ranges of it: the rest of the same instant, then what is older. */
const prepareList = (db: Database, of: string) => ({
  first: db.prepare<unknown[], SessionRow>(
    `SELECT ${SESSION} FROM sessions WHERE ${of} ORDER BY updated_at DESC, key LIMIT ?`,
  ),
  ofTime: db.prepare<unknown[], SessionRow>(
    `SELECT ${SESSION} FROM sessions WHERE ${of} AND updated_at = ? AND key > ? ORDER BY key LIMIT ?`,
  ),
  before: db.prepare<unknown[], SessionRow>(
    `SELECT ${SESSION} FROM sessions WHERE ${of} AND updated_at < ? ORDER BY updated_at DESC, key LIMIT ?`,
  ),
})

const prepare = (db: Database) => ({
  message: db.prepare<unknown[], MessageRow>(
    `SELECT prev, ${ENTRY} FROM entries WHERE seq = ? AND session_key = ? AND prev IS NOT NULL`,
  ),
  chain: db.prepare<unknown[], { lastMessage: number; resetSeq: number }>(
    'SELECT last_message AS lastMessage, reset_seq AS resetSeq FROM sessions WHERE key = ?',
  ),
  previous: db
    .prepare<unknown[], number>(
      'SELECT prev FROM entries WHERE seq = ? AND session_key = ? AND prev IS NOT NULL',
    )
    .pluck(),
  session: db.prepare<unknown[], SessionRow>(`SELECT ${SESSION} FROM sessions WHERE key = ?`),
  paused: db.prepare<unknown[], string>('SELECT key FROM sessions WHERE paused = 1').pluck(),
  countRange: db
    .prepare<unknown[], number>(
      'SELECT count(*) FROM (SELECT 1 FROM sessions WHERE key >= ? AND key < ? LIMIT ?)',
    )
    .pluck(),
  range: db.prepare<unknown[], SessionRow>(
    `SELECT ${SESSION} FROM sessions WHERE key >= ? AND key < ? ORDER BY key LIMIT ?`,
  ),
  all: prepareList(db, 'TRUE'),
  ofChannel: prepareList(db, 'channel = ?'),
  ofAgent: prepareList(db, 'agent = ?'),
})

/** Reads of the sessions and their messages, on a connection of the caller's. */
export class SqliteSessionReads implements SessionReads {
  readonly #sql: ReturnType<typeof prepare>

  constructor(db: Database) {
    this.#sql = prepare(db)
  }

  session(key: string): SessionRecord | null {
    const row = this.#sql.session.get(key)
    return row === undefined ? null : sessionOf(row)
  }

  paused(): string[] {
    return this.#sql.paused.all()
  }

  list(
    filter: SessionFilter,
    before: SessionPosition | null,
    limit: number,
    matches: (row: SessionRow) => boolean,
  ): Page<SessionRecord, SessionPosition> {
    const rows = this.#rows(filter, before, limit)
    const last = rows.length < limit ? undefined : rows.at(-1)
    return {
      items: rows.filter(matches).map(sessionOf),
      last: last === undefined ? null : { updatedAt: last.updatedAt, key: last.key },
    }
  }

  #rows({ channel, agent }: SessionFilter, before: SessionPosition | null, limit: number): SessionRow[] {
    const { all, ofChannel, ofAgent } = this.#sql
    const list = agent !== undefined ? ofAgent : channel !== undefined ? ofChannel : all
    const of = [agent ?? channel].filter((value) => value !== undefined)
    if (before === null) return list.first.all(...of, limit)
    const rows = list.ofTime.all(...of, before.updatedAt, before.key, limit)
    if (rows.length < limit) rows.push(...list.before.all(...of, before.updatedAt, limit - rows.length))
    return rows
  }

  withPrefixes(
    prefixes: readonly string[],
    limit: number,
    matches: (row: SessionRow) => boolean,
  ): SessionRecord[] | null {
    const found = new Map<string, SessionRow>()
    for (const prefix of prefixes) {
      const range = [prefix, prefix + LAST_CHARACTER, limit + 1]
      if ((this.#sql.countRange.get(...range) ?? 0) > limit) return null
      for (const row of this.#sql.range.all(...range)) found.set(row.key, row)
      if (found.size > limit) return null
    }
    return [...found.values()].filter(matches).map(sessionOf)
  }

  history(
    sessionKey: string,
    from: number | null,
    before: number,
    limit: number,
    rows: number,
  ): Page<StoredEntry, number> {
    const chain = this.#sql.chain.get(sessionKey)
    const items: StoredEntry[] = []
    if (chain === undefined) return { items, last: null }
    // The usual place to go on from is a message, and then what comes before it is known without looking at the newer ones.
    let next = from ?? this.#sql.message.get(before, sessionKey)?.prev ?? chain.lastMessage
    for (let looked = 0; next > chain.resetSeq && items.length < limit; looked++) {
      if (looked === rows) return { items, last: next }
      const row = this.#sql.message.get(next, sessionKey)
      if (row === undefined) break
      const { prev, ...entry } = row
      if (entry.seq < before) items.push(entry)
      next = prev
    }
    return { items, last: null }
  }

  positions(sessionKey: string, from: number | null, after: number, rows: number): Page<number, number> {
    const chain = this.#sql.chain.get(sessionKey)
    const items: number[] = []
    if (chain === undefined) return { items, last: null }
    const end = Math.max(after, chain.resetSeq)
    let next = from ?? chain.lastMessage
    while (next > end) {
      if (items.length === rows) return { items, last: next }
      const previous = this.#sql.previous.get(next, sessionKey)
      if (previous === undefined) break
      items.push(next)
      next = previous
    }
    return { items, last: null }
  }
}
