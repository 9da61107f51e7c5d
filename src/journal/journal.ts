import type { ErrorShape, InboundEvent, JsonObject, QueueMode } from '../protocol/index.js'
import type { Documents } from './documents.js'
import type { NewDelivery, Outbox } from './outbox.js'
import type { Peers } from './peers.js'
import type { Search } from './search.js'
import type { SessionPage, SessionQuery } from './session-list.js'

/** A durable outbound event before it has its place; `payload` is JSON text, kept and sent as it is. */
export interface Entry {
  readonly event: string
  readonly sessionKey: string | null
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly payload: string
}

/** An entry at its place in the journal. */
export interface StoredEntry extends Entry {
  readonly seq: number
}

export interface SessionRecord {
  readonly key: string
  readonly channel: string
  readonly title: string | null
  readonly agent: string | null
  readonly metadata: JsonObject
  readonly paused: boolean
  /** Null: by its route, then by the configuration. */
  readonly queueMode: QueueMode | null
  readonly createdAt: number
  readonly updatedAt: number
  /** Messages at or before this position are no longer part of the conversation. */
  readonly resetSeq: number
}

export interface AppendRequest {
  readonly event: Omit<InboundEvent, 'seq'>
  /** JSON text of the event's payload, where that is at hand. */
  readonly payload?: string
  /** The message of the event, and whatever else is to be seen of it. The event's `seq` is that of the last one, or its own. */
  readonly entries: readonly Entry[]
  /** Where the session may not be stored yet: its record, and the entry to log before the others if this append makes it. */
  readonly create?: { readonly record: SessionRecord; readonly entry: Entry }
  /** With `event.idempotencyKey`: a digest of what was sent, returned with a duplicate so that the caller can compare. */
  readonly digest?: string
}

export interface Duplicate {
  readonly eventId: string
  readonly runId: string
  readonly seq: number
  readonly digest: string | null
}

export type AppendResult =
  | { readonly duplicate: null; readonly seq: number }
  | { readonly duplicate: Duplicate; readonly seq: null }

/**
 * The right to handle a session's events. On one node it is granted at once; where several share a journal, each grant
 * raises `fence`, and a completion with an older one is refused.
 */
export interface Lease {
  readonly sessionKey: string
  readonly owner: string
  readonly fence: number
}

export type OutcomeStatus = 'completed' | 'failed' | 'aborted'

export interface CompleteRequest {
  readonly lease: Lease
  /** The events that this outcome ends: all of them or, where one is no longer waiting, none. */
  readonly eventIds: readonly string[]
  /** The run that handled them: each other event is stored as merged into it. Null: each stands for itself. */
  readonly mergedInto?: string | null
  readonly status: OutcomeStatus
  /** With `failed`, and optionally with `aborted`. A failed event is a dead letter until it is retried or discarded. */
  readonly error: ErrorShape | null
  readonly attempts: number
  /** Messages and outcome events. The first `session.message` becomes the outcome's message. */
  readonly entries: readonly Entry[]
  /** What is to be said on a channel from then on. */
  readonly deliveries?: readonly NewDelivery[]
}

export interface RunOutcome {
  readonly eventId: string
  readonly runId: string
  readonly sessionKey: string
  readonly status: 'pending' | OutcomeStatus
  readonly message: StoredEntry | null
  readonly error: ErrorShape | null
  /** The run that handled this one's event together with its own, and whose outcome this is. */
  readonly mergedInto: string | null
}

export interface DeadLetterRecord {
  readonly event: InboundEvent
  readonly error: ErrorShape
  readonly attempts: number
  readonly diedAt: number
  /** The run that handled the event together with its own, and failed. */
  readonly mergedInto: string | null
}

export interface DeadLetterQuery {
  readonly sessionKey?: string
  /** Only of keys for which this is true; applied while paging, so that pages stay full. */
  readonly accept?: (key: string) => boolean
  readonly limit: number
  /** `seq` of the last one of the page before. */
  readonly after?: number
}

export interface DeadLetterStats {
  readonly count: number
  /** When the one that has been dead longest died. Milliseconds since the Unix epoch; null where there is none. */
  readonly oldestAt: number | null
}

/** An accepted event without an outcome. */
export interface PendingEvent {
  readonly event: InboundEvent
  /** How often the process died, rather than closed the journal, while a handler was at work with the event. */
  readonly crashes: number
}

/** Which messages of a session: the newest before `before`, or the oldest after `after`. */
export interface HistoryQuery {
  readonly limit: number
  readonly before?: number
  readonly after?: number
}

export interface JournalHealth {
  readonly status: 'ok' | 'failing'
  /** For an operator: what is wrong and what to do. */
  readonly message?: string
}

/** Counters for metrics; they only grow. */
export interface JournalStats {
  appended: number
  completed: number
  commits: number
  failedCommits: number
  /** Writes that were refused because too many waited. */
  refused: number
  /** Seconds from a write's request to its commit, summed. */
  commitSeconds: number
}

/**
 * The durable log of what was accepted (spec §3). Every write resolves once it is on disk, in the order of the calls, and
 * rejects with `UNAVAILABLE` (retryable) when it could not be written; then nothing of it is kept. Reads see every write
 * that has resolved. Distributed implementations fit behind it: nothing here assumes one process.
 */
export interface Journal extends Outbox, Peers, Documents, Search {
  /** Names this journal; a `seq` means nothing in another. */
  readonly epoch: string
  /** The position of the newest entry that has been handed to `onCommit`. */
  readonly head: number
  readonly stats: JournalStats
  /** Writes that are not on disk yet. */
  readonly waitingWrites: number

  /** Called once with the entries of each commit, in order of `seq`, before the writes of that commit resolve. */
  onCommit(listener: (entries: readonly StoredEntry[]) => void): void

  /** Rejects with `UNAVAILABLE` when too much waits for the disk. */
  append(request: AppendRequest): Promise<AppendResult>
  /** Looks an idempotency key up without writing. */
  findDuplicate(sessionKey: string, idempotencyKey: string): Promise<Duplicate | null>
  lease(sessionKey: string): Promise<Lease>
  /** False: fenced off; another owner has the lane, or the event is no longer waiting. Nothing was written. */
  complete(request: CompleteRequest): Promise<boolean>
  /** The state of the run of that id; null where the journal does not hold it. */
  outcome(runId: string): Promise<RunOutcome | null>
  /** Every accepted event without an outcome, in order; read at start. */
  pending(): Promise<readonly PendingEvent[]>
  /**
   * A handler starts with these events now, until `complete` or `released`. Returns at once and never throws: should the
   * process die before, the next one's `pending` counts it. A journal that does not outlive its process counts nothing.
   */
  begun(eventIds: readonly string[]): void
  /** The same for a handler that starts when this has resolved: all of one turn are noted together. Never rejects. */
  begin(eventIds: readonly string[]): Promise<void>
  /** No handler is at work with these events any more though they have no outcome, as while they wait for another try. */
  released(eventIds: readonly string[]): void

  /** Entries with `after < seq <= upTo`, in order, at most `limit`. */
  replay(after: number, upTo: number, limit: number): Promise<StoredEntry[]>
  /** Whether all entries after `seq` are still held. */
  holds(seq: number): boolean

  session(key: string): Promise<SessionRecord | null>
  /** Most recently updated first. */
  sessions(query: SessionQuery): Promise<SessionPage>
  /** Keys of the paused sessions; read at start. */
  pausedSessions(): Promise<string[]>
  /** Inserts or replaces. `resetSeq: 'head'` in effect: with `reset`, everything up to this write leaves the conversation. */
  saveSession(
    record: SessionRecord,
    entries: readonly Entry[],
    options?: { readonly reset?: boolean },
  ): Promise<SessionRecord>
  /** Removes the session, its messages, what is done of it and its dead deliveries. False: there was none. */
  deleteSession(key: string, entries: readonly Entry[]): Promise<boolean>
  /** The `session.message` entries after the session's reset, at most `limit`, oldest first. */
  history(key: string, query: HistoryQuery): Promise<StoredEntry[]>
  /** All messages that the session has now, oldest first, some at a time; those that are removed meanwhile are left out. */
  messages(key: string): AsyncIterable<readonly StoredEntry[]>

  /** In the order of their acceptance. */
  deadLetters(query: DeadLetterQuery): Promise<DeadLetterRecord[]>
  deadLetter(eventId: string): Promise<DeadLetterRecord | null>
  /** For metrics: reads an index, no letter. */
  deadLetterStats(): Promise<DeadLetterStats>
  /** Makes a dead letter wait again. False: it is none. */
  revive(eventId: string): Promise<boolean>
  /** Forgets a dead letter. False: it is none. */
  discard(eventId: string): Promise<boolean>

  health(): JournalHealth
  /** Flushes what waits, then closes. Closing twice is fine. */
  close(): Promise<void>
}
