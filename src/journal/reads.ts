import type { InboundEvent } from '../protocol/index.js'
import type { DocumentPosition, DocumentRecord } from './documents.js'
import type { DeadLetterRecord, Duplicate, RunOutcome, SessionRecord, StoredEntry } from './journal.js'
import type { DeadDelivery, DeliveryRecord, PendingDelivery, SentBefore } from './outbox.js'
import type { PeerRecord } from './peers.js'
import type { SessionQuery } from './session-list.js'
import type { SessionRow } from './store.js'

/** A place in the list of sessions. */
export interface SessionPosition {
  readonly updatedAt: number
  readonly key: string
}

/** A part of a list that was looked through; `last` null: the list ended. */
export interface Page<Item, Position> {
  readonly items: readonly Item[]
  readonly last: Position | null
}

/** What can be read of the outbox and the peers; bounded as `Reads`. */
export interface OutboxReads {
  /** The next `limit` that wait. */
  pending(after: number, limit: number): Page<PendingDelivery, number>
  delivery(id: string): DeliveryRecord | null
  dead(id: string): DeadDelivery | null
  /** Looks at the next `limit` dead ones and returns those that match. */
  deadOnes(
    after: number,
    limit: number,
    matches: (channel: string, sessionKey: string) => boolean,
  ): Page<DeadDelivery, number>
  /** Looks at the next `limit` dead ones; the one item is their number. */
  countDead(after: number, limit: number): Page<number, number>
  /** When the first of those that are dead died; null: there is none. */
  oldestDeath(): number | null
  /** The next `limit` peers. */
  peers(after: PeerPosition | null, limit: number): Page<PeerRecord, PeerPosition>
}

export type PeerPosition = Pick<PeerRecord, 'channel' | 'peer'>

/** What can be read of the documents; bounded as `Reads`. */
export interface DocumentReads {
  document(kind: string, id: string): DocumentRecord | null
  /** The `limit` before that position, newest first. */
  page(kind: string, subject: string | null, before: DocumentPosition | null, limit: number): DocumentRecord[]
}

export type SessionFilter = Pick<SessionQuery, 'channel' | 'agent'>

/** What can be read of the sessions and their messages; bounded as `Reads`. */
export interface SessionReads {
  session(key: string): SessionRecord | null
  /** Their keys. */
  paused(): string[]
  /** Looks at the next `limit` sessions of the agent, or else the channel, or else of all, and returns those that match. */
  list(
    filter: SessionFilter,
    before: SessionPosition | null,
    limit: number,
    matches: (session: SessionRow) => boolean,
  ): Page<SessionRecord, SessionPosition>
  /** Those that match and begin with one of the prefixes, in any order; null where more than `limit` begin so. */
  withPrefixes(
    prefixes: readonly string[],
    limit: number,
    matches: (session: SessionRow) => boolean,
  ): SessionRecord[] | null
  /** Looks at `rows` messages of the session from `from` back, and returns at most `limit` before `before`, newest first. */
  history(
    sessionKey: string,
    from: number | null,
    before: number,
    limit: number,
    rows: number,
  ): Page<StoredEntry, number>
  /** Looks at `rows` messages of the session from `from` back to `after`, and returns where they are, newest first. */
  positions(sessionKey: string, from: number | null, after: number, rows: number): Page<number, number>
}

/** What can be read of a journal: synchronous, so each looks through a bounded number of rows. Ids are suffixes. */
export interface Reads {
  readonly outbox: OutboxReads
  readonly documents: DocumentReads
  readonly sessions: SessionReads
  /** The first event of that key since `since`. */
  duplicate(sessionKey: string, key: string, since: number): Duplicate | null
  /** The first delivery of that key since `since`. */
  sentBefore(sessionKey: string, key: string, since: number): SentBefore | null
  outcome(id: string): RunOutcome | null
  /** The next waiting events after that position. */
  pending(after: number, limit: number): InboundEvent[]
  entries(after: number, upTo: number, limit: number): StoredEntry[]
  /** Those at these positions that are there. */
  entriesAt(positions: readonly number[]): StoredEntry[]
  deadLetter(id: string): DeadLetterRecord | null
  /** Looks at the next `limit` dead letters; the one item is their number. */
  countDeadLetters(after: number, limit: number): Page<number, number>
  /** When the first of those that are dead died; null: there is none. */
  oldestDeath(): number | null
  /** Looks at the next `limit` dead letters and returns those of the sessions that match. */
  deadLetters(
    after: number,
    limit: number,
    matches: (sessionKey: string) => boolean,
  ): Page<DeadLetterRecord, number>
}
