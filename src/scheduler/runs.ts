import { setTimeout as delay } from 'node:timers/promises'
import type { Journal } from '../journal/journal.js'
import type { RunResult } from '../lanes/outcomes.js'
import type { Log } from '../log.js'
import { type CronRun, type ErrorShape, GatewayError, toErrorShape } from '../protocol/index.js'
import type { Clock } from './clock.js'
import { finishedEntry, type Job, RUN, removedEntry, toRun } from './job.js'
import type { Jobs } from './jobs.js'
import { persist } from './persist.js'

export interface RunsOptions {
  readonly journal: Journal
  readonly jobs: Jobs
  readonly clock: Clock
  readonly log: Log
  /** Resolves with how a run ended. @throws `NOT_FOUND` where nobody knows any more, or the signal's reason. */
  readonly outcome: (runId: string, signal: AbortSignal) => Promise<RunResult>
  /** Told of each run, or time that was left out, that is over. */
  readonly observe: (status: CronRun['status']) => void
  /** Aborts when the gateway stops: what has not ended then is followed by the next one. */
  readonly signal: AbortSignal
}

const FAULT_BACKOFF_MS = 5_000

/** Follows the runs of jobs to their ends, over restarts, too. */
export class Runs {
  readonly #options: RunsOptions
  /** By id. */
  readonly #following = new Map<string, { readonly run: CronRun; readonly end: Promise<void> }>()

  constructor(options: RunsOptions) {
    this.#options = options
  }

  /** How many have not ended. */
  get active(): number {
    return this.#following.size
  }

  /** Takes up the runs that had not ended when the process before did. */
  async load(): Promise<void> {
    const { jobs, journal } = this.#options
    for (const job of [...jobs.values()].filter(({ running }) => running.length > 0)) {
      const found = await Promise.all(job.running.map((id) => journal.document(RUN, id)))
      const runs = found.filter((document) => document !== null).map(toRun)
      // One that is too old is forgotten, and must not keep the job from running.
      const running = runs.map(({ cronRunId }) => cronRunId)
      if (running.length < job.running.length) await jobs.save({ ...job, running }, [], [])
      for (const run of runs) this.follow(run)
    }
  }

  follow(run: CronRun): void {
    const { cronRunId } = run
    const end = this.#follow(run)
      .catch((err: unknown) =>
        this.#options.log.error({ err, cronRunId }, 'a scheduled run is lost sight of'),
      )
      .then(() => void this.#following.delete(cronRunId))
    this.#following.set(cronRunId, { run, end })
  }

  /** One that has not ended. */
  get(cronRunId: string): CronRun | undefined {
    return this.#following.get(cronRunId)?.run
  }

  /** Resolves when all that is to be written of runs that have ended is written; to be called once the signal has aborted. */
  async stop(): Promise<void> {
    await Promise.all([...this.#following.values()].map(({ end }) => end))
  }

  async #follow(run: CronRun): Promise<void> {
    const { outcome, signal, log } = this.#options
    for (;;) {
      try {
        const { status, error } = await outcome(run.runId!, signal)
        return await this.#finish(run, status, error as ErrorShape | null)
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof GatewayError && error.code === 'NOT_FOUND') {
          return await this.#finish(run, 'failed', toErrorShape(error))
        }
        log.warn(
          { err: error, cronRunId: run.cronRunId },
          'the outcome of a scheduled run cannot be read yet',
        )
        await delay(FAULT_BACKOFF_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  async #finish(run: CronRun, status: RunResult['status'], error: ErrorShape | null): Promise<void> {
    const { jobs, clock, log, signal, observe } = this.#options
    const finished: CronRun = { ...run, status, error, endedAt: clock.now() }
    const entries = [finishedEntry(finished)]
    const inTurn = (write: (job: Job | undefined) => Promise<void>) =>
      persist(() => jobs.turns.take(run.jobId, () => write(jobs.get(run.jobId))), signal, log)
    const isWritten = await inTurn((job) =>
      job === undefined
        ? jobs.saveRuns([finished], entries)
        : jobs.save(afterRun(job, finished), [finished], entries),
    )
    if (!isWritten) return
    observe(status)
    if (run.trigger === 'manual') return
    await inTurn(async (job) => {
      if (job !== undefined && isDone(job)) await jobs.remove(job, [removedEntry(job, clock.now(), 'done')])
    })
  }
}

function afterRun(job: Job, { cronRunId, dueAt, firedAt, status }: CronRun): Job {
  const running = job.running.filter((id) => id !== cronRunId)
  const isLast = job.lastRun?.cronRunId === cronRunId
  return isLast ? { ...job, running, lastRun: { cronRunId, dueAt, firedAt, status } } : { ...job, running }
}

/** A job that removes itself, and has nothing more to do. */
export function isDone({ deleteAfterRun, enabled, nextRunAt, running, lastRun }: Job): boolean {
  const isOver = enabled && nextRunAt === null && running.length === 0
  return deleteAfterRun && isOver && lastRun?.status === 'completed'
}
