import type { Static } from '@sinclair/typebox'
import type { Journal, RunOutcome } from '../journal/journal.js'
import { GatewayError, type Outcome } from '../protocol/index.js'
import { toMessage } from '../sessions/conversations.js'

export type RunResult = Static<typeof Outcome>

/** Lets callers wait for a run's outcome, whether it is still to come or in the journal. */
export class Outcomes {
  readonly #waiters = new Map<string, Set<() => void>>()

  constructor(private readonly journal: Journal) {}

  get waiting(): number {
    return this.#waiters.size
  }

  /** The outcome of a run is in the journal. */
  settled(runId: string): void {
    const waiters = this.#waiters.get(runId)
    if (waiters === undefined) return
    this.#waiters.delete(runId)
    for (const wake of waiters) wake()
  }

  /** What became of a run, where it has ended. */
  async find(runId: string): Promise<RunResult | undefined> {
    const outcome = await this.journal.outcome(runId)
    return outcome === null || outcome.status === 'pending' ? undefined : toResult(outcome)
  }

  /** @throws `NOT_FOUND`, or the signal's reason. */
  async wait(
    runId: string,
    signal: AbortSignal,
    mayRead: (sessionKey: string) => boolean,
  ): Promise<RunResult> {
    for (;;) {
      const settled = this.#next(runId, signal)
      try {
        const outcome = await this.journal.outcome(runId)
        if (outcome === null || !mayRead(outcome.sessionKey)) {
          throw new GatewayError('NOT_FOUND', 'There is no such run.', { details: { runId } })
        }
        if (outcome.status !== 'pending') return toResult(outcome)
        await settled.promise
      } finally {
        settled.cancel()
      }
    }
  }

  /** Resolves at the next `settled` of this run; listening begins now, so that none is missed. */
  #next(runId: string, signal: AbortSignal): { promise: Promise<void>; cancel: () => void } {
    let cancel = () => {}
    const promise = new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      let waiters = this.#waiters.get(runId)
      if (waiters === undefined) {
        waiters = new Set()
        this.#waiters.set(runId, waiters)
      }
      waiters.add(resolve)
      cancel = () => {
        signal.removeEventListener('abort', onAbort)
        const current = this.#waiters.get(runId)
        if (current?.delete(resolve) && current.size === 0) this.#waiters.delete(runId)
      }
    })
    promise.catch(() => {})
    return { promise, cancel }
  }
}

function toResult(outcome: RunOutcome): RunResult {
  return {
    runId: outcome.runId,
    eventId: outcome.eventId,
    status: outcome.status as RunResult['status'],
    message: outcome.message === null ? null : toMessage(outcome.message),
    error: outcome.error,
    mergedInto: outcome.mergedInto,
  }
}
