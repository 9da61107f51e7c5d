import { type Static, Type } from '@sinclair/typebox'
import { newMessageId } from '../journal/ids.js'
import type { Entry } from '../journal/journal.js'
import { type ErrorShape, EVENTS, GatewayError, JsonObject, toErrorShape } from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import { entry } from '../sessions/sessions.js'
import type { AbortCause, QueuedEvent } from './queued-event.js'

/** How a try of a run ended. */
export type Ended =
  | { readonly status: 'completed'; readonly content: string; readonly entries: readonly Entry[] }
  | { readonly status: 'failed'; readonly error: ErrorShape; readonly retryable: boolean }
  | { readonly status: 'aborted'; readonly cause: AbortCause }

const Reply = Type.Object({
  content: Type.String(),
  metadata: Type.Optional(JsonObject),
  usage: Type.Optional(JsonObject),
})

const validateReply = compileValidator(Reply, 'reply')

/**
 * @throws `UNAVAILABLE` when the agent's reply is longer than `maxBytes`, `INTERNAL_ERROR` when it is none or does not
 *   fit into JSON; another try would do no better.
 */
export function completed(task: QueuedEvent, reply: unknown, maxBytes: number): Ended {
  const { status, content, entries } = encode(task, reply)
  if (entries.reduce((bytes, { payload }) => bytes + Buffer.byteLength(payload), 0) <= maxBytes) {
    return { status, content, entries }
  }
  throw new GatewayError('UNAVAILABLE', `The agent’s reply is longer than ${maxBytes} bytes.`, {
    retryable: false,
  })
}

function encode(task: QueuedEvent, reply: unknown): Ended & { status: 'completed' } {
  try {
    validateReply(reply)
    const { content, metadata, usage } = reply as Static<typeof Reply>
    const messageId = content === '' ? null : newMessageId()
    const entries = [logEntry(task, EVENTS.agentCompleted.name, { messageId, usage })]
    if (messageId !== null) {
      const message = { messageId, role: 'assistant', content, metadata }
      entries.unshift(logEntry(task, EVENTS.sessionMessage.name, message))
    }
    return { status: 'completed', content, entries }
  } catch (cause) {
    throw new GatewayError(
      'INTERNAL_ERROR',
      'The agent’s reply cannot be used; the gateway log has the cause.',
      {
        cause,
      },
    )
  }
}

export function failed(error: GatewayError): Ended {
  return { status: 'failed', error: toErrorShape(error), retryable: error.retryable }
}

/** A run past its time limit failed, and another try would only hold the lane as long again. */
export function stopped(cause: AbortCause): Ended {
  if (cause.kind !== 'timeout') return { status: 'aborted', cause }
  const error = new GatewayError('AGENT_TIMEOUT', `The agent did not finish within ${cause.timeoutMs} ms.`)
  return { status: 'failed', error: toErrorShape(error), retryable: false }
}

/** What the journal keeps of an event's end: the agent's message and the outcome. */
export function outcomeEntries(task: QueuedEvent, ended: Ended): readonly Entry[] {
  if (ended.status === 'completed') return ended.entries
  if (ended.status === 'failed') {
    return [logEntry(task, EVENTS.agentFailed.name, { error: ended.error, attempts: task.attempt })]
  }
  const { cause } = ended
  const reason = cause.kind === 'requested' ? cause.reason : cause.kind
  return [logEntry(task, EVENTS.agentAborted.name, { reason })]
}

function logEntry({ event, agent }: QueuedEvent, name: string, payload: object): Entry {
  const { id: eventId, runId, sessionKey } = event
  return entry(name, sessionKey, Date.now(), { runId, eventId, agent, ...payload })
}
