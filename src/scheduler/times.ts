import type { CronSchedule } from '../protocol/cron.js'

/** The times of a schedule, in milliseconds since the Unix epoch. */
export interface Times {
  /** The first one after that; null: there is none. */
  next(after: number): number | null
  /** The latest ones up to and including that, at most `count`, oldest first. */
  last(until: number, count: number): number[]
}

type CronModule = typeof import('./cron-times.js')
let cronModule: CronModule | null = null

/** The times of a schedule that was checked. The library for `cron` is loaded with the first of that kind. */
export async function timesOf(schedule: CronSchedule): Promise<Times> {
  if (schedule.at !== undefined) return onceAt(schedule.at)
  if (schedule.everyMs !== undefined) return every(schedule.everyMs, schedule.anchor!)
  cronModule ??= await import('./cron-times.js')
  return cronModule.cronTimes(schedule.cron!, schedule.timeZone!)
}

function onceAt(at: number): Times {
  return {
    next: (after) => (after < at ? at : null),
    last: (until) => (until >= at ? [at] : []),
  }
}

/** `anchor`, and every `everyMs` from it on. */
function every(everyMs: number, anchor: number): Times {
  const stepsUntil = (time: number) => Math.floor((time - anchor) / everyMs)
  return {
    next: (after) => anchor + Math.max(0, stepsUntil(after) + 1) * everyMs,
    last(until, count) {
      const newest = stepsUntil(until)
      const oldest = Math.max(0, newest - count + 1)
      return Array.from(
        { length: Math.max(0, newest - oldest + 1) },
        (_, i) => anchor + (oldest + i) * everyMs,
      )
    },
  }
}
