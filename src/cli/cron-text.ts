import type { CronJob, CronRun } from '../protocol/index.js'
import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import { formatDuration } from './format.js'

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `15m`, `2h`, `1d` in milliseconds. @throws CliError */
export function parseDuration(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (unit !== undefined) return Number(count) * UNITS_MS[unit]!
  throw new CliError(EXIT.USAGE, `expected a duration such as 90s, 15m, 2h or 1d, got ${text}`)
}

/** `+10m` from now on; else it is the gateway that reads it. */
export function parseTime(text: string, now: number): number | string {
  return text.startsWith('+') ? now + parseDuration(text.slice(1)) : text
}

export function describeJob(job: CronJob): string[] {
  const { jobId, name, enabled, nextRunAt, lastRun, sessionKey } = job
  const next = enabled ? `next ${timeText(nextRunAt)}` : 'disabled'
  const last = lastRun === null ? 'has not run' : `${lastRun.status} ${timeText(lastRun.firedAt)}`
  return [jobId, name ?? '-', whenText(job), next, last, sessionKey]
}

export function describeRun({ dueAt, trigger, status, endedAt, firedAt, error, reason, ...run }: CronRun) {
  const took = endedAt === null || run.runId === null ? '' : `after ${formatDuration(endedAt - firedAt)}`
  const why = error === null ? (reason ?? '') : `${error.code}: ${error.message}`
  return [timeText(dueAt), trigger, status, run.skipped > 1 ? `${why}, ${run.skipped} times` : why || took]
}

function whenText({ schedule: { at, everyMs, cron, timeZone } }: CronJob): string {
  if (at !== undefined) return 'once'
  return everyMs === undefined ? `${cron} (${timeZone})` : `every ${formatDuration(everyMs)}`
}

function timeText(time: number | null): string {
  return time === null ? 'never' : new Date(time).toISOString().replace('.000Z', 'Z')
}

/** Columns as wide as they need to be. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
