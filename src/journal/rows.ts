import type { ErrorShape, InboundEvent, JsonObject, Priority } from '../protocol/index.js'
import { idsOfSuffix } from './ids.js'
import type { DeadLetterRecord, RunOutcome, SessionRecord } from './journal.js'
import { type EventRow, type SessionRow, STATUS } from './store.js'

/** A dead letter as it is stored. */
export interface DeadRow extends EventRow {
  readonly error: string | null
  readonly attempts: number
  readonly doneAt: number
}

const UNKNOWN_FAILURE: ErrorShape = {
  code: 'INTERNAL_ERROR',
  message: 'The run failed; no reason was given.',
  details: null,
  retryable: false,
}

const parseError = (text: string | null): ErrorShape | null =>
  text === null ? null : (JSON.parse(text) as ErrorShape)

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
  return row.idempotencyKey === null ? event : { ...event, idempotencyKey: row.idempotencyKey }
}

export const deadLetterOf = (row: DeadRow): DeadLetterRecord => ({
  event: eventOf(row),
  error: parseError(row.error) ?? UNKNOWN_FAILURE,
  attempts: row.attempts,
  diedAt: row.doneAt,
})

export const sessionOf = (row: SessionRow): SessionRecord => ({
  ...row,
  metadata: JSON.parse(row.metadata) as JsonObject,
  paused: row.paused === 1,
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

export function outcomeOf(
  row: { id: string; sessionKey: string; status: number; error: string | null },
  message: RunOutcome['message'],
): RunOutcome {
  const status = outcomeStatus(row.status)
  return { ...idsOfSuffix(row.id), sessionKey: row.sessionKey, status, message, error: parseError(row.error) }
}
