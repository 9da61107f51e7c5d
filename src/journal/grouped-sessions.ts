import { setImmediate as nextTurn } from 'node:timers/promises'
import { GatewayError } from '../protocol/index.js'
import { GroupedOutbox } from './grouped-outbox.js'
import type { Entry, HistoryQuery, SessionRecord, StoredEntry } from './journal.js'
import { compareSessions } from './order.js'
import { PAGE_ROWS } from './paging.js'
import type { Page } from './reads.js'
import type { Search, SearchHit, SearchLookup, SearchPage, SearchQuery } from './search.js'
import { LIST_ROWS, type SessionPage, type SessionQuery, sessionPage } from './session-list.js'
import type { SessionRow } from './store.js'
import { RemoveWrite, SaveWrite } from './writes.js'

/** Steps of the index that a search waits for: those of the newest 5,000 entries. */
const CATCH_UP_STEPS = 20
/** Matches that are looked at in one go, and by one search. */
const SEARCH_ROWS = 100
const SEARCH_MAX_ROWS = 2_000

/** Positions that are looked at in one go: some milliseconds. */
const POSITIONS = 2_000
/** Messages that are read in one go. */
const MESSAGES = 20

type Matches = (row: SessionRow) => boolean

/** The sessions of a journal that groups its writes and pages through its reads, and what was said in them. */
export abstract class GroupedSessions extends GroupedOutbox implements Search {
  protected abstract readonly searches: boolean
  protected abstract lookUp(lookup: SearchLookup): Promise<Page<SearchHit, number>>
  /** One step of the index; false: it has caught up. Rejects where nothing can be written. */
  protected abstract index(): Promise<boolean>

  session(key: string): Promise<SessionRecord | null> {
    return this.read(({ sessions }) => sessions.session(key))
  }

  pausedSessions(): Promise<string[]> {
    return this.read(({ sessions }) => sessions.paused())
  }

  async sessions(query: SessionQuery): Promise<SessionPage> {
    const { channel, agent, accept, limit, since = 0 } = query
    if (limit === 0) return { sessions: [], next: null }
    const matches: Matches = (row) =>
      (channel === undefined || row.channel === channel) &&
      (agent === undefined || row.agent === agent) &&
      row.updatedAt >= since &&
      (accept === undefined || accept(row.key))
    const few = await this.#fewSessions(query, matches)
    if (few !== null) return sessionPage(few, limit, null)
    const found: SessionRecord[] = []
    let from = query.before ?? null
    // One more than asked for tells whether there is a next page.
    let rows = limit + 1
    for (let looked = 0; looked < LIST_ROWS; looked += rows, rows *= 2) {
      if (looked > 0) await nextTurn()
      rows = Math.min(rows, PAGE_ROWS)
      const page = await this.read(({ sessions }) => sessions.list(query, from, rows, matches))
      found.push(...page.items)
      const isEnd = page.last === null || page.last.updatedAt < since
      if (found.length > limit || isEnd) return sessionPage(found, limit, null)
      from = page.last
    }
    return sessionPage(found, limit, from)
  }

  /** All that match, where the prefixes leave few to look at; else null. */
  async #fewSessions(
    { prefixes, before }: SessionQuery,
    matches: Matches,
  ): Promise<readonly SessionRecord[] | null> {
    if (prefixes === undefined) return null
    const rows = await this.read(({ sessions }) => sessions.withPrefixes(prefixes, PAGE_ROWS, matches))
    if (rows === null) return null
    const rest = rows.filter((row) => before === undefined || compareSessions(row, before) > 0)
    return rest.sort(compareSessions)
  }

  saveSession(
    record: SessionRecord,
    entries: readonly Entry[],
    options?: { readonly reset?: boolean },
  ): Promise<SessionRecord> {
    return this.write(new SaveWrite(record, options?.reset === true, entries))
  }

  deleteSession(key: string, entries: readonly Entry[]): Promise<boolean> {
    return this.write(new RemoveWrite(key, entries))
  }

  async history(key: string, { limit, before, after }: HistoryQuery): Promise<StoredEntry[]> {
    if (after !== undefined) {
      const positions = await this.#positions(key, after, limit)
      return this.read((reads) => reads.entriesAt(positions))
    }
    const newestFirst = await this.collect<StoredEntry, number | null>(
      null,
      limit,
      ({ sessions }, from, missing) =>
        sessions.history(key, from, before ?? Number.MAX_SAFE_INTEGER, missing, PAGE_ROWS),
    )
    return newestFirst.reverse()
  }

  async *messages(key: string): AsyncGenerator<readonly StoredEntry[]> {
    const positions = await this.#positions(key, 0, Number.POSITIVE_INFINITY)
    for (let from = 0; from < positions.length; from += MESSAGES) {
      yield await this.read((reads) => reads.entriesAt(positions.slice(from, from + MESSAGES)))
    }
  }

  /** The chain of messages leads from the newest to the oldest: all are passed, and the first `limit` are kept. */
  async #positions(key: string, after: number, limit: number): Promise<readonly number[]> {
    const found: number[] = []
    for (let from: number | null = null; ; await nextTurn()) {
      const page: Page<number, number> = await this.read(({ sessions }) =>
        sessions.positions(key, from, after, POSITIONS),
      )
      for (const seq of page.items) found.push(seq)
      if (found.length > limit + POSITIONS) found.splice(0, found.length - limit)
      if (page.last === null) return found.reverse().slice(0, limit)
      from = page.last
    }
  }

  async search(query: SearchQuery): Promise<SearchPage> {
    const { terms, sessionKey, channel, accept, limit, before = Number.MAX_SAFE_INTEGER } = query
    if (!this.searches) {
      throw new GatewayError('UNAVAILABLE', 'Search is turned off: see `journal.search`.', {
        retryable: false,
      })
    }
    const upToDate = await this.#catchUp()
    const rows = accept === undefined ? Math.min(limit + 1, SEARCH_ROWS) : SEARCH_ROWS
    const hits: SearchHit[] = []
    let from = before
    for (let looked = 0; looked < SEARCH_MAX_ROWS; looked += rows) {
      const page = await this.lookUp({ terms, sessionKey, channel, before: from, rows })
      for (const hit of page.items) if (accept === undefined || accept(hit.sessionKey)) hits.push(hit)
      if (hits.length > limit) return { hits: hits.slice(0, limit), next: hits[limit - 1]!.seq, upToDate }
      if (page.last === null) return { hits, next: null, upToDate }
      from = page.last
    }
    return { hits, next: from, upToDate }
  }

  /** What is indexed can be searched even while nothing can be written. */
  async #catchUp(): Promise<boolean> {
    try {
      for (let steps = 0; steps < CATCH_UP_STEPS; steps++) if (!(await this.index())) return true
    } catch {}
    return false
  }
}
