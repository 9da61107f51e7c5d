import type { CronJob } from '../protocol/cron.js'
import type { Times } from './times.js'

export interface DueOptions {
  readonly misfire: CronJob['misfire']
  /** How late a time may be and still be on time. */
  readonly graceMs: number
  readonly maxCatchUp: number
}

/** What is to be done about the times of a job that have come. */
export interface Due {
  /** The first of those that are left out because they were missed; null: none is. */
  readonly missedFrom: number | null
  /** Those that are run, oldest first. */
  readonly run: readonly { readonly dueAt: number; readonly trigger: 'schedule' | 'missed' }[]
  /** The first one that has not come yet. */
  readonly next: number | null
}

/** `from`: the first time that was not dealt with, not after `now`. */
export function dueOf(times: Times, from: number, now: number, options: DueOptions): Due {
  const { misfire, graceMs, maxCatchUp } = options
  const next = times.next(now)
  const several = times.next(from) !== next
  const count = misfire === 'all' ? maxCatchUp : 1
  const latest = several ? times.last(now, count).filter((dueAt) => dueAt >= from) : [from]
  const newest = latest.at(-1) ?? from
  const isOnTime = now - newest <= graceMs
  const run = (misfire === 'skip' && !isOnTime ? [] : latest).map((dueAt) => {
    const trigger = isOnTime && dueAt === newest ? ('schedule' as const) : ('missed' as const)
    return { dueAt, trigger }
  })
  // One run for all of them leaves none out.
  const leavesOut = misfire !== 'once' && run[0]?.dueAt !== from
  return { missedFrom: leavesOut ? from : null, run, next }
}
