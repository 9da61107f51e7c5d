import type { SessionRecord } from './journal.js'
import type { SessionPosition } from './reads.js'

export interface SessionQuery {
  readonly channel?: string
  readonly agent?: string
  /** Only those whose last change was then or later. Milliseconds since the Unix epoch. */
  readonly since?: number
  /** Only keys for which this is true; applied while paging. */
  readonly accept?: (key: string) => boolean
  /** Where every key that `accept` lets through begins with one of these: only such are looked at, if they are few. */
  readonly prefixes?: readonly string[]
  readonly limit: number
  /** The position after the last session of the page before. */
  readonly before?: SessionPosition
}

export interface SessionPage {
  readonly sessions: readonly SessionRecord[]
  /** Where the next page begins; null: there is none. A page may be short all the same: what is looked at is bounded. */
  readonly next: SessionPosition | null
}

/** Sessions that one page looks at. */
export const LIST_ROWS = 5_000

/** The first `limit` of what was found; `rest`: where the search had come to. */
export function sessionPage(
  found: readonly SessionRecord[],
  limit: number,
  rest: SessionPosition | null,
): SessionPage {
  if (found.length <= limit) return { sessions: found, next: rest }
  const sessions = found.slice(0, limit)
  const last = sessions.at(-1)
  return { sessions, next: last === undefined ? null : { updatedAt: last.updatedAt, key: last.key } }
}
