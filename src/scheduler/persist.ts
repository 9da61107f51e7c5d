import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../log.js'

const BACKOFF_MS = 250
const MAX_BACKOFF_MS = 5_000

/** Writes until the disk takes it. False: the signal aborted before. */
export async function persist(write: () => Promise<void>, signal: AbortSignal, log: Log): Promise<boolean> {
  for (let backoffMs = BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
    try {
      await write()
      return true
    } catch (err) {
      if (signal.aborted) return false
      log.warn({ err, retryInMs: backoffMs }, 'the state of a schedule could not be written yet')
      await delay(backoffMs, undefined, { signal }).catch(() => {})
    }
  }
}
