import type { StoredEntry } from './journal.js'
import { type Word, wordsOf } from './words.js'

const CHARS_BEFORE = 60
const CHARS_AFTER = 140
/** What a cut leaves of a character of two units. */
const HALVES = /[\ud800-\udfff]/gu

/** Words that follow each other. */
export interface SearchTerm {
  /** At least one. */
  readonly words: readonly string[]
  /** The last one is the beginning of a word. */
  readonly prefix: boolean
}

export interface SearchQuery {
  /** All of them have to occur. */
  readonly terms: readonly SearchTerm[]
  readonly sessionKey?: string
  readonly channel?: string
  /** Only of sessions for which this is true; applied while searching. */
  readonly accept?: (key: string) => boolean
  readonly limit: number
  /** Only messages before this position. */
  readonly before?: number
}

export interface SearchHit {
  readonly seq: number
  readonly at: number
  readonly sessionKey: string
  readonly messageId: string
  readonly role: string
  /** The text around the first match. */
  readonly snippet: string
}

/** Newest first. */
export interface SearchPage {
  readonly hits: readonly SearchHit[]
  /** Where the search goes on; null: everything was looked at. A page may be short all the same. */
  readonly next: number | null
  /** False: the newest messages are not in the index yet. */
  readonly upToDate: boolean
}

/** What an engine is asked; bounded by `rows`, the matches that are looked at. */
export interface SearchLookup extends Pick<SearchQuery, 'terms' | 'sessionKey' | 'channel'> {
  readonly before: number
  readonly rows: number
}

export interface Search {
  /** Messages of conversations as they are now. @throws `UNAVAILABLE` where it is turned off, or too many search. */
  search(query: SearchQuery): Promise<SearchPage>
}

/** The text of a message that is searched; empty where there is none. */
export function textOf(payload: string): string {
  const { content } = JSON.parse(payload) as { content?: unknown }
  return typeof content === 'string' ? content : ''
}

/** Null: it does not match. */
export function hitOf(terms: readonly SearchTerm[], entry: StoredEntry): SearchHit | null {
  const { seq, at, sessionKey, payload } = entry
  const { content, messageId, role } = JSON.parse(payload) as Record<string, unknown>
  const text = typeof content === 'string' ? content : ''
  const first = findTerms(terms, text)
  if (first === null || sessionKey === null) return null
  return {
    seq,
    at,
    sessionKey,
    messageId: String(messageId),
    role: String(role),
    snippet: around(text, first),
  }
}

/** Where the first of the terms begins; null: some do not occur. */
function findTerms(terms: readonly SearchTerm[], text: string): number | null {
  const words = [...wordsOf(text)]
  let first = text.length
  for (const term of terms) {
    const found = words.find((_word, start) => occursAt(term, words, start))
    if (found === undefined) return null
    first = Math.min(first, found.from)
  }
  return first
}

function occursAt({ words: wanted, prefix }: SearchTerm, words: readonly Word[], start: number): boolean {
  return wanted.every((text, n) => {
    const word = words[start + n]?.text
    return prefix && n === wanted.length - 1 ? word?.startsWith(text) : word === text
  })
}

function around(text: string, at: number): string {
  const from = Math.max(at - CHARS_BEFORE, 0)
  const to = Math.min(at + CHARS_AFTER, text.length)
  const part = text.slice(from, to).replace(HALVES, '').replace(/\s+/g, ' ').trim()
  return `${from > 0 ? '…' : ''}${part}${to < text.length ? '…' : ''}`
}
