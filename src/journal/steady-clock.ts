/** The clock of the day is slewed by less, and read a little after the other one. */
const TOLERANCE_MS = 2_000

export interface SteadyClockOptions {
  /** How long the clock of the day has to stand by a jump before it is believed. Milliseconds. */
  readonly believeAfterMs: number
  /** Milliseconds since the Unix epoch, by a clock that is set now and then. Default: `Date.now`. */
  readonly wall?: () => number
  /** Milliseconds, by one that never is. Default: `performance.now`. */
  readonly monotonic?: () => number
}

/**
 * The time of the day, without its jumps: what was stored a minute ago is a minute old, even if the clock was set by years
 * meanwhile. What it was set to counts from the next start on, or once all that was stored before has grown old by either.
 */
export function createSteadyClock(options: SteadyClockOptions): () => number {
  const { believeAfterMs, wall = Date.now, monotonic = () => performance.now() } = options
  let offset = wall() - monotonic()
  let claimed = offset
  let claimedAt = 0
  return () => {
    const elapsed = monotonic()
    const current = wall() - elapsed
    if (Math.abs(current - claimed) > TOLERANCE_MS) {
      claimed = current
      claimedAt = elapsed
    }
    const isBelieved = Math.abs(current - offset) <= TOLERANCE_MS || elapsed - claimedAt >= believeAfterMs
    if (isBelieved) offset = current
    return Math.round(elapsed + offset)
  }
}
