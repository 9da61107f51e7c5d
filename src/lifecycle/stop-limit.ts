import type { Config } from '../config/schema.js'

/** For timers that are late on a busy machine. */
const STOP_MARGIN_MS = 1_000
/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2_147_483_647

/** What a stop may take at most, the delay and the drain included; without a configuration, what is left of a start. Milliseconds. */
export function stopLimitMs(config: Pick<Config, 'shutdown' | 'lanes'> | undefined): number {
  if (config === undefined) return 10 * STOP_MARGIN_MS
  const { shutdown, lanes } = config
  const drainMs = shutdown.delayMs + shutdown.drainTimeoutMs + 2 * lanes.abortGraceMs
  return Math.min(drainMs + shutdown.closeTimeoutMs + STOP_MARGIN_MS, MAX_TIMEOUT_MS)
}
