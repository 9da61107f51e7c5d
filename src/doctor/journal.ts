import { formatBytes } from '../cli/format.js'
import { nextCommand } from '../cli/next-command.js'
import type { JournalInspection } from '../journal/inspect.js'
import { JournalError } from '../journal/journal-error.js'
import { canRebuild } from '../journal/journal-problems.js'
import {
  type Check,
  type DoctorContext,
  error,
  INSPECTION_TIMEOUT_MS,
  info,
  inTime,
  MEND_TIMEOUT_MS,
  type Observation,
  ok,
  reasonOf,
  warning,
} from './check.js'

/** It is cut back to 64 MiB when it begins anew; more means that somebody reads for long, or that it cannot be moved. */
const LONG_LOG_BYTES = 256 * 1024 * 1024

export const journal: Check = {
  name: 'journal',
  timeoutMs: INSPECTION_TIMEOUT_MS + MEND_TIMEOUT_MS,
  async run(context, signal) {
    const { journalPath, fix, running } = context
    if (journalPath === null) return [info('It is in memory (journal.type: memory).')]
    const found = await context.inspectJournal()
    if (found === null) return [info(`${journalPath} is not there yet; the first start makes it.`)]
    const { problems, facts } = found
    if (problems.length === 0 && facts !== null) return [ok(describe(found)), ...waiting(found)]
    if (fix && running === null && canRebuild(problems)) return mend(journalPath, context, signal)
    return problems.map(({ message }) => error(`${journalPath}: ${message}`, ...remedyFor(found, context)))
  },
}

function describe({ path, bytes, logBytes, facts }: JournalInspection): string {
  const { seq, counts } = facts!
  const size = `${formatBytes(bytes)}, ${formatBytes(logBytes)} of log`
  return `${path} is whole: ${size}, position ${seq}, ${counts.sessions} sessions, ${counts.events} events.`
}

function waiting({ logBytes, facts }: JournalInspection): Observation[] {
  const { deadLetters, deadDeliveries } = facts!
  const found: Observation[] = []
  if (logBytes > LONG_LOG_BYTES) {
    const remedy = 'End what reads it for long, such as a backup; it is moved then.'
    found.push(warning(`Its log has grown to ${formatBytes(logBytes)}.`, remedy))
  }
  if (deadLetters > 0) {
    const message = `${deadLetters} events have failed for good (dead letters).`
    found.push(warning(message, nextCommand('gateway call deadLetters.list')))
  }
  if (deadDeliveries > 0) {
    const message = `${deadDeliveries} deliveries have failed for good.`
    found.push(warning(message, nextCommand('gateway call deliveries.list')))
  }
  return found
}

function remedyFor({ problems }: JournalInspection, { running }: DoctorContext): [string, boolean] {
  const stop = running === null ? '' : `${nextCommand('gateway stop')}; `
  if (canRebuild(problems)) return [`${stop}${nextCommand('doctor --fix')}`, running === null]
  if (problems.some(({ kind }) => kind === 'access')) return ['Check its permissions and its disk.', false]
  return [`${stop}${nextCommand('journal restore FILE')}   puts a backup in its place`, false]
}

async function mend(
  path: string,
  { mendTimeoutMs }: DoctorContext,
  signal: AbortSignal,
): Promise<Observation[]> {
  try {
    const { rebuildJournal } = await import('../journal/rebuild.js')
    const { aside } = await inTime(mendTimeoutMs, signal, (ending) => rebuildJournal(path, ending))
    return [
      info(`${path} was made anew from its tables, and nothing is lost; the damaged one is kept: ${aside}`),
    ]
  } catch (thrown) {
    if (!(thrown instanceof JournalError)) {
      const message = `${path} was not made anew, and is as it was: ${reasonOf(thrown)}.`
      return [error(message, 'Run it again when the disk has less to do.')]
    }
    return [error(reasonOf(thrown), `${nextCommand('journal restore FILE')}   puts a backup in its place`)]
  }
}
