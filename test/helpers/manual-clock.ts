import type { Clock } from '../../src/scheduler/clock.js'

/** A clock that stands until the test sets it. */
export class ManualClock implements Clock {
  readonly #timers = new Set<{ at: number; call: () => void }>()
  #now: number
  /** What timers count, whatever the clock is set to. */
  #elapsed = 0

  constructor(now: string | number) {
    this.#now = new Date(now).getTime()
  }

  get timers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  later(ms: number, call: () => void): () => void {
    const timer = { at: this.#elapsed + ms, call }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Time goes by; what is due by then is called. */
  pass(ms: number): void {
    this.#now += ms
    this.#elapsed += ms
    for (const timer of [...this.#timers]) {
      if (timer.at <= this.#elapsed && this.#timers.delete(timer)) timer.call()
    }
  }

  /** Goes on until then. */
  until(time: string | number): void {
    this.pass(new Date(time).getTime() - this.#now)
  }

  /** Someone sets it: no timer notices. */
  set(time: string | number): void {
    this.#now = new Date(time).getTime()
  }
}
