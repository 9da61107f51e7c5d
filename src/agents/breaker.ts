export interface BreakerLimits {
  /** Failures of the backend, one after the other, that open it. */
  readonly failures: number
  /** How long nothing is tried then. */
  readonly openMs: number
  /** How old an event may be whose failures do not count while it is open. */
  readonly maxWaitMs: number
}

/** `closed`: all is well; `open`: nothing is tried; `half-open`: one run at a time, the probe, tells. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** Knows from how runs ended whether a backend is there. Its timer keeps no process alive. */
export class Breaker {
  readonly limits: BreakerLimits
  state: BreakerState = 'closed'
  /** Since the last success. */
  failures = 0
  readonly #onChange: (before: BreakerState) => void
  #timer: NodeJS.Timeout | undefined

  constructor(limits: BreakerLimits, onChange: (before: BreakerState) => void) {
    this.limits = limits
    this.#onChange = onChange
  }

  succeeded(): void {
    this.failures = 0
    this.#enter('closed')
  }

  failed(): void {
    this.failures++
    if (this.state === 'closed' && this.failures < this.limits.failures) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#enter('half-open'), this.limits.openMs)
    this.#timer.unref()
    this.#enter('open')
  }

  /** Twice is fine. */
  close(): void {
    clearTimeout(this.#timer)
  }

  #enter(state: BreakerState): void {
    const before = this.state
    if (before === state) return
    this.state = state
    if (state === 'closed') clearTimeout(this.#timer)
    this.#onChange(before)
  }
}
