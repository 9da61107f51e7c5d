import { Cron } from 'croner'
import type { Times } from './times.js'

/** A parsed expression takes 80 kB: jobs share those of the same text, and the least used ones are parsed anew. */
const MAX_PARSED = 256

/** Least recently used first. */
const parsed = new Map<string, CronTimes>()

/**
 * The times of a cron expression in a time zone. Over a change of clocks: an expression with fixed hours, minutes and seconds
 * has each of its times once a day, one that does not exist right after the gap and one that exists twice the first time;
 * one with `*` or steps goes on through the hour that comes twice, and has none in the one that is left out.
 * @throws what is wrong with the expression.
 */
export function cronTimes(expression: string, timeZone: string): Times {
  const key = `${timeZone} ${expression}`
  const times = parsed.get(key) ?? new CronTimes(expression, timeZone)
  parsed.delete(key)
  parsed.set(key, times)
  if (parsed.size > MAX_PARSED) parsed.delete(parsed.keys().next().value!)
  return times
}

class CronTimes implements Times {
  readonly #cron: Cron
  /** The answer before: jobs with the same expression ask for the same. */
  #after = Number.NaN
  #next: number | null = null

  constructor(expression: string, timeZone: string) {
    // Lists and ranges of hours count as fixed: a job at 2:30 and 14:30 is not to miss a day.
    this.#cron = new Cron(expression, { paused: true, timezone: timeZone, fixedTimeRule: 'no-wildcard' })
    // The library takes dates for expressions, too.
    if (this.#cron.getOnce() !== null) throw new Error('it is a date')
  }

  next(after: number): number | null {
    if (after !== this.#after) {
      this.#next = this.#cron.nextRun(new Date(after))?.getTime() ?? null
      this.#after = after
    }
    return this.#next
  }

  last(until: number, count: number): number[] {
    // What is asked for is exclusive, but for earlier runs in the same second.
    const runs = this.#cron.previousRuns(count, new Date(until + 1))
    return runs.map((run) => run.getTime()).reverse()
  }
}
