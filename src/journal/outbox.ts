import type { Static } from '@sinclair/typebox'
import type { Attachment, ErrorShape } from '../protocol/index.js'
import type { Traced } from '../tracing/trace-context.js'
import type { Entry } from './journal.js'

/** What is to be said on a channel. */
export interface DeliveryContent {
  readonly text: string
  readonly attachments?: readonly Static<typeof Attachment>[]
  /** The run whose answer it is. */
  readonly runId?: string
  /** The platform's id of the message that it answers. */
  readonly replyTo?: string
  /** The question that it asks: once that is over it is not sent any more. */
  readonly questionId?: string
}

/** Something for a channel, from the commit that made it until the platform took it (spec §3, The promise). */
export interface NewDelivery extends Traced {
  /** `newDeliveryId()`; grows with time. */
  readonly id: string
  readonly channel: string
  readonly peer: string
  readonly thread: string | null
  /** The session that it belongs to: who may see it may see this. */
  readonly sessionKey: string
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly content: DeliveryContent
}

export interface DeliveryRecord extends NewDelivery {
  /** Its place among all deliveries. */
  readonly seq: number
  /** Parts that the platform has taken already. */
  readonly partsSent: number
  readonly attempts: number
}

/** Where a waiting delivery goes; its content is read when its turn comes. */
export type PendingDelivery = Pick<DeliveryRecord, 'id' | 'seq' | 'channel' | 'peer'>

export interface DeadDelivery extends DeliveryRecord {
  readonly error: ErrorShape
  readonly diedAt: number
}

export interface DeadDeliveryQuery {
  readonly channel?: string
  readonly sessionKey?: string
  /** Only of session keys for which this is true; applied while paging, so that pages stay full. */
  readonly accept?: (sessionKey: string) => boolean
  readonly limit: number
  /** `seq` of the last one of the page before. */
  readonly after?: number
}

/** What makes a send that comes again the same one. */
export interface SendKey {
  /** Within the session of the delivery. */
  readonly key: string
  /** Of what is said: with another one the key was used for something else. */
  readonly digest: string
}

/** The delivery that a key stands for already; it may have been made, or have failed, since. */
export interface SentBefore {
  readonly id: string
  readonly digest: string
}

/** The part of the journal that holds what is still to be said. Writes resolve once they are on disk. */
export interface Outbox {
  /** Deliveries that no run's outcome brings along: those come with `complete`. In order. */
  enqueue(deliveries: readonly NewDelivery[]): Promise<void>
  /**
   * The same for one whose sender may send it again, within the window of idempotency keys (those of events are others).
   * Null: it is new; else the first of that key, and nothing is kept.
   */
  enqueueOnce(delivery: NewDelivery, once: SendKey): Promise<SentBefore | null>
  /** Looks such a key up without writing. */
  sentBefore(sessionKey: string, key: string): Promise<SentBefore | null>
  /** What waits, in order; read at start. */
  pendingDeliveries(): Promise<readonly PendingDelivery[]>
  /** Null: it does not wait. */
  delivery(id: string): Promise<DeliveryRecord | null>
  /** The platform has taken so many parts. False: it does not wait. */
  partsSent(id: string, parts: number): Promise<boolean>
  /** The platform has taken all of it: it is forgotten. False: it does not wait. */
  delivered(id: string): Promise<boolean>
  /** It could not be delivered for good: a dead letter, with what is to be seen of it. False: it does not wait. */
  undeliverable(id: string, error: ErrorShape, attempts: number, entries: readonly Entry[]): Promise<boolean>
  /** In the order of `seq`. */
  deadDeliveries(query: DeadDeliveryQuery): Promise<DeadDelivery[]>
  deadDelivery(id: string): Promise<DeadDelivery | null>
  /** Makes a dead delivery wait again, behind all others; its parts that were taken stay taken. Null: it is none. */
  reviveDelivery(id: string): Promise<PendingDelivery | null>
  /** Forgets a dead delivery. False: it is none. */
  discardDelivery(id: string): Promise<boolean>
  /** For metrics: reads an index. `oldestAt`: when the one that has been dead longest died. */
  deadDeliveryStats(): Promise<{ readonly count: number; readonly oldestAt: number | null }>
}
