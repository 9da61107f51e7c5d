import type { ErrorShape, InboundEvent, JsonObject, Priority, QueueMode } from '../protocol/index.js'
import { unpackTrace } from '../tracing/trace-context.js'
import { idsOfSuffix } from './ids.js'
import type { DeadLetterRecord, RunOutcome, SessionRecord } from './journal.js'
import type { DeadDelivery, DeliveryContent, DeliveryRecord, SentBefore } from './outbox.js'
import type { PeerRecord } from './peers.js'
import {
  type DeliveryRow,
  type EndRow,
  type EventRow,
  type KeyRow,
  type PeerRow,
  type SessionRow,
  STATUS,
} from './store.js'

/** A dead letter as it is stored. */
export type DeadRow = EventRow & Pick<EndRow, 'error' | 'attempts' | 'mergedInto' | 'doneAt'>

/** What is stored of an event, so far as its outcome tells it. */
export type OutcomeRow = Pick<EventRow, 'id' | 'sessionKey'> & Pick<EndRow, 'status' | 'error' | 'mergedInto'>

/** A delivery as it is stored, at its place. */
export type StoredDelivery = DeliveryRow & Pick<DeliveryRecord, 'seq' | 'partsSent' | 'attempts'>

export type DeadDeliveryRow = StoredDelivery & Pick<DeadDelivery, 'diedAt'> & { readonly error: string }

const UNKNOWN_FAILURE: ErrorShape = {
  code: 'INTERNAL_ERROR',
  message: 'The run failed; no reason was given.',
  details: null,
  retryable: false,
}

const parseError = (text: string | null): ErrorShape | null =>
  text === null ? null : (JSON.parse(text) as ErrorShape)

const runOf = (suffix: string | null): string | null => (suffix === null ? null : idsOfSuffix(suffix).runId)

export function eventOf(row: EventRow): InboundEvent {
  const { eventId, runId } = idsOfSuffix(row.id)
  const event: InboundEvent = {
    id: eventId,
    runId,
    seq: row.seq,
    type: row.type,
    source: row.source,
    sessionKey: row.sessionKey,
    at: row.at,
    payload: JSON.parse(row.payload) as JsonObject,
    priority: row.priority as Priority,
  }
  if (row.idempotencyKey !== null) event.idempotencyKey = row.idempotencyKey
  return row.trace === null ? event : { ...event, ...unpackTrace(row.trace) }
}

/** What a key of a send stands for. A key of before `since` stands for nothing any more. */
export const sentBeforeOf = (row: KeyRow | undefined, since: number): SentBefore | null =>
  row === undefined || row.at <= since ? null : { id: row.id, digest: row.digest ?? '' }

export const deadLetterOf = (row: DeadRow): DeadLetterRecord => ({
  event: eventOf(row),
  error: parseError(row.error) ?? UNKNOWN_FAILURE,
  attempts: row.attempts,
  diedAt: row.doneAt,
  mergedInto: runOf(row.mergedInto),
})

export const sessionOf = (row: SessionRow): SessionRecord => ({
  ...row,
  metadata: JSON.parse(row.metadata) as JsonObject,
  paused: row.paused === 1,
  queueMode: row.queueMode as QueueMode | null,
})

/** The outcome that a stored status stands for. A discarded dead letter failed all the same. */
export function outcomeStatus(status: number): RunOutcome['status'] {
  switch (status) {
    case STATUS.pending:
      return 'pending'
    case STATUS.completed:
      return 'completed'
    case STATUS.aborted:
      return 'aborted'
    default:
      return 'failed'
  }
}

export function outcomeOf(row: OutcomeRow, message: RunOutcome['message']): RunOutcome {
  return {
    ...idsOfSuffix(row.id),
    sessionKey: row.sessionKey,
    status: outcomeStatus(row.status),
    message,
    error: parseError(row.error),
    mergedInto: runOf(row.mergedInto),
  }
}

export function deliveryOf(row: StoredDelivery): DeliveryRecord {
  const { id, seq, channel, peer, thread, sessionKey, at, payload, trace, partsSent, attempts } = row
  const content = JSON.parse(payload) as DeliveryContent
  const delivery = { id, seq, channel, peer, thread, sessionKey, at, content, partsSent, attempts }
  return trace === null ? delivery : { ...delivery, ...unpackTrace(trace) }
}

export const deadDeliveryOf = (row: DeadDeliveryRow): DeadDelivery => ({
  ...deliveryOf(row),
  error: JSON.parse(row.error) as ErrorShape,
  diedAt: row.diedAt,
})

export const peerOf = ({ targetPeer, targetThread, ...row }: PeerRow): PeerRecord => ({
  ...row,
  target: { peer: targetPeer, thread: targetThread },
})
