/** The time, and a way to be called later: a test has its own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Calls once, not before that many milliseconds. Returns what takes it back. */
  later(ms: number, call: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  later(ms, call) {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}
