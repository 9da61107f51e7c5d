import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../protocol/index.js'

export interface Patience {
  /** Of the process's monotonic clock. */
  readonly deadline: number
  readonly signal: AbortSignal
  /** Whether it makes sense to try. */
  readonly hasRoom: () => boolean
}

const BACKOFF_MS = 50
const MAX_BACKOFF_MS = 2_000

/**
 * Does what may be refused for want of room, again and again until the deadline.
 * @throws the last refusal, at once where it is for good; `CANCELLED` when the signal aborts while it waits.
 */
export async function patiently<T>(
  { deadline, signal, hasRoom }: Patience,
  work: () => Promise<T>,
): Promise<T> {
  for (let backoffMs = BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
    let refusal: unknown = new GatewayError('UNAVAILABLE', 'Too much waits to be sent on this channel.')
    if (hasRoom()) {
      try {
        return await work()
      } catch (error) {
        if (error instanceof GatewayError && !error.retryable) throw error
        refusal = error
      }
    }
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) throw refusal
    const askedMs = refusal instanceof GatewayError ? (refusal.retryAfterMs ?? 0) : 0
    // At the deadline it is tried once more.
    await sleep(Math.min(Math.max(backoffMs, askedMs), leftMs), undefined, { signal }).catch((cause) => {
      throw new GatewayError('CANCELLED', 'The channel is stopped.', { cause })
    })
  }
}
