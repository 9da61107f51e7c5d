import { type Static, Type } from '@sinclair/typebox'
import { newMessageId } from '../journal/ids.js'
import type { Entry } from '../journal/journal.js'
import { type ErrorShape, EVENTS, GatewayError, JsonObject, toErrorShape } from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import { entry } from '../sessions/sessions.js'
import { type AbortCause, idsOf, mergedOf, type QueuedEvent } from './queued-event.js'

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
export function completed(
  task: QueuedEvent,
  reply: unknown,
  maxBytes: number,
): Ended & { readonly status: 'completed' } {
  // Before anything is made of it: it may be a hundred megabytes.
  if (contentLength(reply) > maxBytes) throw tooLong(maxBytes)
  const { status, content, entries } = encode(task, reply)
  if (entries.reduce((bytes, { payload }) => bytes + Buffer.byteLength(payload), 0) <= maxBytes) {
    return { status, content, entries }
  }
  throw tooLong(maxBytes)
}

export function tooLong(maxBytes: number): GatewayError {
  return new GatewayError('UNAVAILABLE', `The agent’s reply is longer than ${maxBytes} bytes.`, {
    retryable: false,
  })
}

function contentLength(reply: unknown): number {
  const content = typeof reply === 'object' && reply !== null && 'content' in reply ? reply.content : ''
  return typeof content === 'string' ? content.length : 0
}

function encode(task: QueuedEvent, reply: unknown): Ended & { status: 'completed' } {
  try {
    validateReply(reply)
    const { content, metadata, usage } = reply as Static<typeof Reply>
    const messageId = content === '' ? null : newMessageId()
    const merged = mergedOf(task)
    const entries = [logEntry(task, EVENTS.agentCompleted.name, { messageId, usage, merged })]
    if (messageId !== null) {
      const answers = task.others.length === 0 ? undefined : idsOf(task)
      const message = { messageId, role: 'assistant', content, answers, metadata }
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

/** What the journal keeps of a run's end: the agent's message, the outcome, and where the other events of the run went. */
export function outcomeEntries(task: QueuedEvent, ended: Ended): readonly Entry[] {
  const own = ownEntries(task, ended)
  if (task.others.length === 0) return own
  const { agent, event } = task
  const where = { agent, mergedInto: event.runId, status: ended.status }
  return [...own, ...task.others.map((other) => logEntry(other, EVENTS.agentMerged.name, where))]
}

function ownEntries(task: QueuedEvent, ended: Ended): readonly Entry[] {
  const merged = mergedOf(task)
  switch (ended.status) {
    case 'completed':
      return ended.entries
    case 'failed':
      return [logEntry(task, EVENTS.agentFailed.name, { error: ended.error, attempts: task.attempt, merged })]
    case 'aborted':
      return [logEntry(task, EVENTS.agentAborted.name, { ...reasonOf(ended.cause), merged })]
  }
}

function reasonOf(cause: AbortCause): { reason: string; interruptedBy?: string } {
  switch (cause.kind) {
    case 'requested':
      return { reason: cause.reason }
    case 'interrupted':
      return { reason: cause.kind, interruptedBy: cause.by }
    default:
      return { reason: cause.kind }
  }
}

function logEntry({ event, agent }: QueuedEvent, name: string, payload: object): Entry {
  const { id: eventId, runId, sessionKey } = event
  return entry(name, sessionKey, Date.now(), { runId, eventId, agent, ...payload })
}
