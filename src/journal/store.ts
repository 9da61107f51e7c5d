import type { DocumentRecord } from './documents.js'

/** What became of an accepted event. The numbers are stored; from `completed` on nothing more is to come. */
export const STATUS = { pending: 0, failed: 1, completed: 2, aborted: 3, discarded: 4 } as const

/** A session as it is stored: `metadata` is JSON text. */
export interface SessionRow {
  readonly key: string
  readonly channel: string
  readonly title: string | null
  readonly agent: string | null
  readonly metadata: string
  readonly paused: number
  readonly queueMode: string | null
  readonly createdAt: number
  readonly updatedAt: number
  readonly resetSeq: number
}

/** An accepted event as it is stored: `id` is the suffix of its ids, `payload` JSON text. */
export interface EventRow {
  readonly id: string
  readonly seq: number
  readonly sessionKey: string
  readonly type: string
  readonly source: string
  readonly at: number
  readonly priority: string
  readonly idempotencyKey: string | null
  readonly payload: string
  /** See `packTrace`. */
  readonly trace: string | null
}

/** How an event ended, as it is stored. */
export interface EndRow {
  readonly status: number
  readonly attempts: number
  /** JSON text. */
  readonly error: string | null
  readonly replySeq: number | null
  /** The suffix of the run that handled it together with its own event. */
  readonly mergedInto: string | null
  readonly doneAt: number
}

export interface KeyRow {
  readonly id: string
  readonly seq: number
  readonly digest: string | null
  readonly at: number
}

/** What is to be said on a channel, as it is stored: `payload` is JSON text. */
export interface DeliveryRow {
  readonly id: string
  readonly channel: string
  readonly peer: string
  readonly thread: string | null
  readonly sessionKey: string
  readonly at: number
  readonly payload: string
  /** See `packTrace`. */
  readonly trace: string | null
}

/** The deliveries that wait, and those that are dead. What is delivered is gone. */
export interface OutboxStore {
  /** Nothing happens where one of its id is stored already. */
  insert(seq: number, row: DeliveryRow): void
  /** False: it does not wait. */
  setParts(id: string, parts: number): boolean
  /** False: it does not wait. */
  remove(id: string): boolean
  /** `error` is JSON text. False: it does not wait. */
  bury(id: string, error: string, attempts: number, now: number): boolean
  /** Gives it that place. Undefined: it is not dead. */
  revive(id: string, seq: number): Pick<DeliveryRow, 'channel' | 'peer'> | undefined
  /** False: it is not dead. */
  discard(id: string): boolean
  /** Those of a session. */
  removeDead(sessionKey: string): void
  /** Inserts or replaces. */
  putPeer(record: PeerRow): void
  /** False: there is none. */
  removePeer(channel: string, peer: string): boolean
}

/** Someone on a channel, as it is stored. */
export interface PeerRow {
  readonly channel: string
  readonly peer: string
  readonly name: string | null
  readonly targetPeer: string
  readonly targetThread: string | null
  readonly code: string
  readonly requestedAt: number
  readonly expiresAt: number
  readonly approvedAt: number | null
  readonly approvedBy: string | null
}

/** The documents; see `Documents`. */
export interface DocumentStore {
  /** Inserts or replaces. */
  put(row: DocumentRecord): void
  /** False: there is none. */
  remove(kind: string, id: string): boolean
}

/**
 * The steps that writes are made of; `apply.ts` puts them together. All synchronous: a batch of writes is one transaction of
 * whoever calls.
 */
export interface Store {
  /** The newest position that was given to an entry or event. */
  lastSeq: number
  readonly outbox: OutboxStore
  readonly documents: DocumentStore

  findKey(sessionKey: string, key: string): KeyRow | undefined
  /** Inserts or replaces. */
  putKey(sessionKey: string, key: string, row: KeyRow): void

  hasSession(key: string): boolean
  /** The event is the one that was just inserted, and the session's first. */
  insertSession(row: SessionRow, eventId: string): void
  /** Inserts or replaces; `resetSeq` never goes back. Returns it. */
  putSession(row: SessionRow): number
  /** Raises `updatedAt`. Nothing happens where there is no such session. */
  touchSession(key: string, at: number): void
  /** Removes the session, its messages, its ended events and their idempotency keys. False: there is none. */
  removeSession(key: string): boolean
  /** Leaves the messages that the session has so far to retention, from `now` on. */
  expireMessages(sessionKey: string, now: number): void

  /** The event is one of its session if that exists by now. False: one of its id is stored already. */
  insertEvent(row: EventRow): boolean
  /** A message of a session that exists lives as long as that; anything else until retention removes it. */
  insertEntry(seq: number, event: string, sessionKey: string | null, at: number, payload: string): void
  isPending(id: string, sessionKey: string): boolean
  /** False: it is not waiting. */
  endEvent(id: string, sessionKey: string, end: EndRow): boolean
  /** False: it is no dead letter. */
  reviveEvent(id: string): boolean
  /** False: it is no dead letter. */
  discardEvent(id: string, now: number): boolean
}
