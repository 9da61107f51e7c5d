import type { HistoryMessage } from '../agents/agent.js'
import type { Principal } from '../auth/principal.js'
import type { Journal, SessionRecord, StoredEntry } from '../journal/journal.js'
import type { SearchHit } from '../journal/search.js'
import { decodeSeqCursor } from './cursor.js'
import { parseQuery } from './search-terms.js'
import type { Sessions } from './sessions.js'

export interface HistoryOptions {
  limit?: number
  cursor?: string
  /** Which way the pages go: back from the newest, the default, or forth from the oldest. */
  order?: 'asc' | 'desc'
}

export interface SearchOptions {
  query: string
  sessionKey?: string
  channel?: string
  limit?: number
  cursor?: string
}

const DEFAULT_PAGE = 50
/** Of one page of an export, unless its first message is longer. */
const EXPORT_MESSAGES = 500
const EXPORT_CHARS = 262_144

/** What was said in the sessions: history, search, export. */
export class Conversations {
  readonly #journal: Journal
  readonly #sessions: Sessions

  constructor(journal: Journal, sessions: Sessions) {
    this.#journal = journal
    this.#sessions = sessions
  }

  /** Oldest first within a page, whichever way the pages go. @throws `NOT_FOUND`. */
  async history(
    key: string,
    { limit = DEFAULT_PAGE, cursor, order = 'desc' }: HistoryOptions,
  ): Promise<{ messages: HistoryMessage[]; nextCursor: string | null }> {
    const at = cursor === undefined ? undefined : decodeSeqCursor(cursor)
    await this.#sessions.require(key)
    const place = order === 'desc' ? { before: at } : { after: at ?? 0 }
    // One more tells whether there is a next page.
    const entries = await this.#journal.history(key, { limit: limit + 1, ...place })
    const isMore = entries.length > limit
    const page = !isMore ? entries : order === 'desc' ? entries.slice(1) : entries.slice(0, -1)
    const next = order === 'desc' ? page[0] : page.at(-1)
    return { messages: page.map(toMessage), nextCursor: isMore ? String(next!.seq) : null }
  }

  /** Newest first. @throws `INVALID_REQUEST` for a query without a word. */
  async search(
    principal: Principal,
    { query, sessionKey, channel, limit = DEFAULT_PAGE, cursor }: SearchOptions,
  ): Promise<{ hits: SearchHit[]; nextCursor: string | null; upToDate: boolean }> {
    const terms = parseQuery(query)
    const before = cursor === undefined ? undefined : decodeSeqCursor(cursor)
    const accept = principal.sessions === null ? undefined : (key: string) => principal.allowsSession(key)
    const page = await this.#journal.search({ terms, sessionKey, channel, accept, limit, before })
    const { hits, next, upToDate } = page
    return { hits: [...hits], nextCursor: next === null ? null : String(next), upToDate }
  }

  /** JSON lines, each ended by a line feed. @throws `NOT_FOUND`. */
  async export(key: string, cursor?: string): Promise<{ lines: string; nextCursor: string | null }> {
    const after = cursor === undefined ? undefined : decodeSeqCursor(cursor)
    const record = await this.#sessions.require(key)
    let lines = after === undefined ? jsonLine('session', this.#sessions.summary(record)) : ''
    const entries = await this.#journal.history(key, { limit: EXPORT_MESSAGES + 1, after: after ?? 0 })
    let last: StoredEntry | undefined
    for (const entry of entries.slice(0, EXPORT_MESSAGES)) {
      if (last !== undefined && lines.length + entry.payload.length > EXPORT_CHARS) break
      lines += jsonLine('message', toMessage(entry))
      last = entry
    }
    const isMore = last !== undefined && last !== entries.at(-1)
    return { lines, nextCursor: isMore ? String(last!.seq) : null }
  }

  /** The whole export, line by line. @throws `NOT_FOUND`. */
  async lines(key: string): Promise<AsyncIterable<string>> {
    return this.#lines(await this.#sessions.require(key))
  }

  async *#lines(record: SessionRecord): AsyncGenerator<string> {
    yield jsonLine('session', this.#sessions.summary(record))
    for await (const entries of this.#journal.messages(record.key)) {
      for (const entry of entries) yield jsonLine('message', toMessage(entry))
    }
  }
}

const jsonLine = (type: string, value: object): string => `${JSON.stringify({ type, ...value })}\n`

/** A `session.message` entry as a message of the history. */
export function toMessage(stored: StoredEntry): HistoryMessage {
  return { ...(JSON.parse(stored.payload) as HistoryMessage), seq: stored.seq, at: stored.at }
}

/** While an answer is made other messages may come: it goes before them, to what it answers. Event ids sort as they came. */
export function inTurns(messages: HistoryMessage[]): HistoryMessage[] {
  const place = ({ eventId, answers }: HistoryMessage) => answers?.at(-1) ?? eventId
  return messages.sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0))
}
