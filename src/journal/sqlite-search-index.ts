import { createHash } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { failpoint } from '#failpoint'
import { type SearchLookup, type SearchTerm, textOf } from './search.js'
import { wordsOf } from './words.js'

/** Entries that one step looks at, and the text of which it indexes: some 20 ms. */
const STEP_ENTRIES = 250
const STEP_CHARS = 131_072
const STEP_REMOVALS = 100

interface IndexRow {
  readonly seq: number
  readonly prev: number | null
  readonly sessionKey: string | null
  readonly payload: string
}

const prepare = (db: Database) => ({
  indexed: db.prepare<unknown[], number>("SELECT value FROM meta WHERE name = 'indexed'").pluck(),
  setIndexed: db.prepare("UPDATE meta SET value = ? WHERE name = 'indexed'"),
  next: db.prepare<unknown[], IndexRow>(
    `SELECT seq, prev, session_key AS sessionKey, payload FROM entries WHERE seq > ? ORDER BY seq LIMIT ${STEP_ENTRIES}`,
  ),
  add: db.prepare('INSERT INTO search (rowid, content, place) VALUES (?, ?, ?)'),
  removed: db
    .prepare<unknown[], number>(`SELECT seq FROM search_removed ORDER BY seq LIMIT ${STEP_REMOVALS}`)
    .pluck(),
  remove: db.prepare('DELETE FROM search WHERE rowid = ?'),
  forget: db.prepare('DELETE FROM search_removed WHERE seq = ?'),
})

/** Fills the index of words behind the writes; the caller begins and ends the transactions. */
export class SqliteSearchIndex {
  readonly #sql: ReturnType<typeof prepare>

  constructor(db: Database) {
    this.#sql = prepare(db)
  }

  /** Adds the next messages; returns how many entries it looked at. */
  add(): number {
    const from = this.#sql.indexed.get() ?? 0
    let upTo = from
    let looked = 0
    let chars = 0
    for (const { seq, prev, sessionKey, payload } of this.#sql.next.all(from)) {
      upTo = seq
      looked += 1
      if (prev === null || sessionKey === null) continue
      const words = Array.from(wordsOf(textOf(payload)), ({ text }) => text).join(' ')
      if (words !== '') this.#sql.add.run(seq, words, placeOf(sessionKey))
      chars += payload.length
      if (chars >= STEP_CHARS) break
    }
    failpoint('search.added')
    if (upTo > from) this.#sql.setIndexed.run(upTo)
    return looked
  }

  /** Takes out messages that are gone; returns how many. */
  remove(): number {
    const seqs = this.#sql.removed.all()
    for (const seq of seqs) {
      this.#sql.remove.run(seq)
      this.#sql.forget.run(seq)
    }
    failpoint('search.removed')
    return seqs.length
  }
}

/** A word that stands for a name: of a bounded length, and without anything that would split it. */
const nameWord = (kind: string, name: string): string =>
  kind + createHash('sha256').update(name).digest('hex').slice(0, 20)

const channelWord = (channel: string): string => nameWord('c', channel)
const sessionWord = (sessionKey: string): string => nameWord('s', sessionKey)
const placeOf = (sessionKey: string): string =>
  `${sessionWord(sessionKey)} ${channelWord(sessionKey.split(':', 1)[0] ?? '')}`

const quoted = ({ words, prefix }: SearchTerm): string => `"${words.join(' ')}"${prefix ? ' *' : ''}`

/** The lookup in the language of FTS5; words have no character that means something in it. */
export function matchOf({ terms, sessionKey, channel }: SearchLookup): string {
  const places: string[] = []
  if (sessionKey !== undefined) places.push(`place : ${sessionWord(sessionKey)}`)
  if (channel !== undefined) places.push(`place : ${channelWord(channel)}`)
  return [...places, ...terms.map((term) => `content : ${quoted(term)}`)].join(' AND ')
}
