import type { SessionRecord, StoredEntry } from './journal.js'
import type { MemoryStore } from './memory-store.js'
import { compareSessions } from './order.js'
import type { Page, SessionFilter, SessionPosition, SessionReads } from './reads.js'
import { sessionOf } from './rows.js'
import { hitOf, type SearchHit, type SearchLookup } from './search.js'
import type { SessionRow } from './store.js'

/** Reads of the sessions and their messages. */
export class MemorySessionReads implements SessionReads {
  readonly #store: MemoryStore

  constructor(store: MemoryStore) {
    this.#store = store
  }

  session(key: string): SessionRecord | null {
    const row = this.#store.sessions.get(key)
    return row === undefined ? null : sessionOf(row)
  }

  paused(): string[] {
    return this.#rows(({ paused }) => paused === 1).map(({ key }) => key)
  }

  list(
    { channel, agent }: SessionFilter,
    before: SessionPosition | null,
    limit: number,
    matches: (row: SessionRow) => boolean,
  ): Page<SessionRecord, SessionPosition> {
    const rows = this.#rows(
      (row) =>
        (agent !== undefined ? row.agent === agent : channel === undefined || row.channel === channel) &&
        (before === null || compareSessions(row, before) > 0),
    )
      .sort(compareSessions)
      .slice(0, limit)
    return {
      items: rows.filter(matches).map(sessionOf),
      last: rows.length < limit ? null : (rows.at(-1) ?? null),
    }
  }

  withPrefixes(
    prefixes: readonly string[],
    limit: number,
    matches: (row: SessionRow) => boolean,
  ): SessionRecord[] | null {
    const rows = this.#rows(({ key }) => prefixes.some((prefix) => key.startsWith(prefix)))
    return rows.length > limit ? null : rows.filter(matches).map(sessionOf)
  }

  history(
    sessionKey: string,
    from: number | null,
    before: number,
    limit: number,
    rows: number,
  ): Page<StoredEntry, number> {
    const newest = from ?? before - 1
    const messages = this.#messages(({ seq }) => seq <= newest && seq < before, sessionKey)
    const items = messages.slice(0, Math.min(limit, rows))
    const next = messages[items.length]
    return { items, last: items.length === rows && next !== undefined ? next.seq : null }
  }

  positions(sessionKey: string, _from: number | null, after: number): Page<number, number> {
    return { items: this.#messages(({ seq }) => seq > after, sessionKey).map(({ seq }) => seq), last: null }
  }

  search({ terms, sessionKey, channel, before, rows }: SearchLookup): Page<SearchHit, number> {
    const messages = this.#messages(({ seq }) => seq < before, sessionKey)
    const items: SearchHit[] = []
    for (const message of messages) {
      const isThere = channel === undefined || this.#sessionOf(message)?.channel === channel
      const hit = isThere ? hitOf(terms, message) : null
      if (hit !== null) items.push(hit)
      if (items.length === rows) return { items, last: message.seq }
    }
    return { items, last: null }
  }

  /** Newest first. */
  #messages(matches: (entry: StoredEntry) => boolean, sessionKey?: string): StoredEntry[] {
    return [...this.#store.messages]
      .filter(
        (entry) =>
          (sessionKey === undefined || entry.sessionKey === sessionKey) &&
          entry.seq > (this.#sessionOf(entry)?.resetSeq ?? 0) &&
          matches(entry),
      )
      .reverse()
  }

  #sessionOf({ sessionKey }: StoredEntry): SessionRow | undefined {
    return this.#store.sessions.get(sessionKey ?? '')
  }

  #rows(matches: (row: SessionRow) => boolean): SessionRow[] {
    return [...this.#store.sessions.values()].filter(matches)
  }
}
