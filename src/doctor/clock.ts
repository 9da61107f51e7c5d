import { formatDuration } from '../cli/format.js'
import { getJson } from '../cli/http-get.js'
import { type Check, INSPECTION_TIMEOUT_MS, type Observation, ok, warning } from './check.js'

/** Clocks of one machine agree better; what is read for this takes its time. */
const TOLERANCE_MS = 60_000
/** Before this program was written: a clock that nobody has set. */
const UNSET_BEFORE = Date.UTC(2025, 0, 1)

const SET_IT = 'timedatectl set-ntp true'

export interface ClockFacts {
  readonly now: number
  /** The latest time in the journal. */
  readonly newestAt: number | null
  /** When the running gateway was started, as it wrote it then, and for how long it has run by a clock that nobody sets. */
  readonly startedAt: number | null
  readonly uptimeMs: number | null
}

export const clock: Check = {
  name: 'clock',
  timeoutMs: INSPECTION_TIMEOUT_MS,
  async run({ now, running, target, inspectJournal }) {
    // After a restart in place the uptime begins anew, and the start of the process does not.
    const comparable = running !== null && running.lastRestart === null && target !== null
    const health = comparable ? await getJson(target, '/health', TOLERANCE_MS / 10).catch(() => null) : null
    return judgeClock({
      now,
      newestAt: (await inspectJournal())?.facts?.newestAt ?? null,
      startedAt: running?.startedAt ?? null,
      uptimeMs: (health as { uptimeMs?: number } | null)?.uptimeMs ?? null,
    })
  },
}

export function judgeClock({ now, newestAt, startedAt, uptimeMs }: ClockFacts): Observation[] {
  const found: Observation[] = []
  if (now < UNSET_BEFORE) {
    found.push(warning(`This machine believes that it is ${new Date(now).toISOString()}.`, SET_IT))
  }
  if (newestAt !== null && newestAt - now > TOLERANCE_MS) {
    const message = `The journal has times that are ${formatDuration(newestAt - now)} in the future: the clock was set back.`
    found.push(warning(message, SET_IT))
  }
  if (startedAt !== null && uptimeMs === null && startedAt - now > TOLERANCE_MS) {
    const message = `The gateway was started ${formatDuration(startedAt - now)} in the future: the clock was set back.`
    found.push(warning(message, SET_IT))
  }
  if (startedAt !== null && uptimeMs !== null) {
    const jump = now - startedAt - uptimeMs
    if (Math.abs(jump) > TOLERANCE_MS) {
      const where = jump > 0 ? 'forward' : 'back'
      const message = `The clock was set ${where} by ${formatDuration(Math.abs(jump))} since the gateway was started.`
      found.push(warning(message, SET_IT))
    }
  }
  return found.length > 0
    ? found
    : [ok(`It is ${new Date(now).toISOString()}, and nothing in the journal is later.`)]
}
