import { type ErrorShape, GatewayError, toErrorShape } from '../protocol/index.js'

export interface DeliveryPolicy {
  /** Tries in all. */
  readonly attempts: number
  /** Before the second try; doubles each time. Milliseconds, as the others here. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
}

/** What follows from a failed try. */
export interface Verdict {
  readonly error: ErrorShape
  /** Whether the platform asks for patience, which says nothing of the message: it does not count as a try. */
  readonly limited: boolean
  /** Null: it is not tried again. */
  readonly retryInMs: number | null
}

/** Longer than this no platform has us wait. */
const MAX_RETRY_AFTER_MS = 86_400_000
/** Errors of libraries can be long: no more than this of them goes into the log. */
const MAX_CAUSE_LENGTH = 1_000

/** @param before tries that failed before this one */
export function judge(thrown: unknown, before: number, policy: DeliveryPolicy): Verdict {
  const error = shapeOf(thrown)
  const limited = error.code === 'RATE_LIMITED' && error.retryable
  if (!error.retryable || (!limited && before + 1 >= policy.attempts)) {
    return { error, limited, retryInMs: null }
  }
  const ceiling = Math.min(policy.backoffMs * 2 ** Math.min(before, 30), policy.maxBackoffMs)
  // Full jitter above half: spread, yet never at once. A platform that says when wins.
  const backoffMs = Math.round(ceiling / 2 + (Math.random() * ceiling) / 2)
  const retryInMs = Math.max(backoffMs, Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS))
  return { error, limited, retryInMs }
}

/** What the log has of it: text alone, as the objects of libraries may hold headers and tokens. */
export function causeOf(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, MAX_CAUSE_LENGTH)
}

/** What is no `GatewayError` says nothing of itself to clients, and may be over by the next try. */
function shapeOf(thrown: unknown): ErrorShape {
  if (thrown instanceof GatewayError) return toErrorShape(thrown)
  const message = 'The channel failed; the gateway log has the cause.'
  return toErrorShape(new GatewayError('INTERNAL_ERROR', message, { retryable: true }))
}
