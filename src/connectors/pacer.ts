import { setTimeout as sleep } from 'node:timers/promises'

/** Lets `burst` pass at once and then `perSecond`, in the order of the calls (the generic cell rate algorithm). */
export class Pacer {
  readonly #intervalMs: number
  readonly #toleranceMs: number
  #nextAt = 0

  constructor(perSecond: number, burst: number) {
    this.#intervalMs = 1000 / perSecond
    this.#toleranceMs = (burst - 1) * this.#intervalMs
  }

  /** Resolves when it is this caller's turn; rejects when `signal` aborts, and its turn is then nobody's. */
  async take(signal: AbortSignal): Promise<void> {
    const now = performance.now()
    const at = Math.max(this.#nextAt, now)
    this.#nextAt = at + this.#intervalMs
    const waitMs = at - this.#toleranceMs - now
    if (waitMs > 0) await sleep(waitMs, undefined, { signal })
    else signal.throwIfAborted()
  }
}
