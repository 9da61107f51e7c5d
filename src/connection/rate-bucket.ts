/**
 * A token bucket: `max` at once, refilled evenly over `windowMs`. Two numbers of state and no timer, since every
 * connection has one.
 */
export class RateBucket {
  #max: number
  #windowMs: number
  #used = 0
  #at = 0

  /**
   * @param max how many in a window; 0: no limit.
   * @param windowMs the window, ms.
   */
  constructor(max: number, windowMs: number) {
    this.#max = max
    this.#windowMs = windowMs
  }

  /** Other limits; what was taken counts. */
  limit(max: number, windowMs: number): void {
    this.#max = max
    this.#windowMs = windowMs
  }

  /**
   * Takes one.
   *
   * @param now the time, ms, of any clock; one that is set back refills nothing.
   * @returns 0 when there was one, else the milliseconds until there is.
   */
  take(now: number): number {
    if (this.#max === 0) return 0
    const refilled = (Math.max(0, now - this.#at) * this.#max) / this.#windowMs
    this.#used = Math.max(0, this.#used - refilled)
    this.#at = now
    const missing = this.#used + 1 - this.#max
    // Below a millionth it is the rounding of the refill.
    if (missing > 1e-6) return Math.ceil((missing * this.#windowMs) / this.#max)
    this.#used++
    return 0
  }
}
