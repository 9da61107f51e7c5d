import { setMaxListeners } from 'node:events'
import type { Principal } from '../auth/principal.js'
import { sessionKeyOf } from '../connectors/address.js'
import { newJobId } from '../journal/ids.js'
import { type CronJob, type CronRun, EVENTS, GatewayError, type ParamsOf } from '../protocol/index.js'
import type { cronAdd, cronList, cronRuns, cronUpdate } from '../protocol/methods/cron.js'
import { decodeCursor, encodeCursor } from '../sessions/cursor.js'
import { type Clock, systemClock } from './clock.js'
import { readPayload, readSchedule, type Surroundings, sessionsOf } from './definition.js'
import { Firing, type FiringLimits, type FiringOptions } from './firing.js'
import { describe, type Job, jobEntry, ownerOf, RUN, removedEntry, summarize, toRun } from './job.js'
import { type JobLimits, Jobs, type JobsOptions } from './jobs.js'
import { isDone, Runs, type RunsOptions } from './runs.js'
import { Ticker } from './ticker.js'
import { timesOf } from './times.js'

export interface SchedulerOptions
  extends Pick<JobsOptions, 'journal'>,
    Pick<RunsOptions, 'log' | 'outcome' | 'observe'>,
    Pick<FiringOptions, 'accept' | 'abort' | 'isStopping'>,
    Surroundings {
  /** Read at each use. */
  readonly limits: JobLimits & FiringLimits
  readonly clock?: Clock
}

const SNAPSHOT_SIZE = 50
const DEFAULT_PAGE = 50

/** Jobs that make events at their times (spec §2, `cron.*`). Everything about them is in the journal. */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #clock: Clock
  readonly #jobs: Jobs
  readonly #runs: Runs
  readonly #firing: Firing
  readonly #ticker: Ticker
  readonly #stopping = new AbortController()
  /** For those who see everything. */
  #snapshot: string | null = null

  constructor(options: SchedulerOptions) {
    this.#options = options
    const { clock = systemClock, log } = options
    this.#clock = clock
    const { signal } = this.#stopping
    // Each run that is followed listens.
    setMaxListeners(0, signal)
    this.#jobs = new Jobs({ ...options, onChange: (jobId) => this.#changed(jobId) })
    const shared = { ...options, clock, signal, jobs: this.#jobs }
    this.#runs = new Runs(shared)
    this.#firing = new Firing({ ...shared, runs: this.#runs })
    this.#ticker = new Ticker({
      clock,
      log,
      timeOf: (jobId) => timeOf(this.#jobs.get(jobId)),
      onDue: (jobId) => this.#firing.due(jobId),
      onClockSetBack: () => {
        log.warn({}, 'the clock was set back: the next times of all jobs are found anew')
        this.#bringForward(() => true).catch((err: unknown) =>
          log.error({ err }, 'the next times of jobs could not be found'),
        )
      },
    })
  }

  get size(): number {
    return this.#jobs.size
  }

  /** Runs that have not ended. */
  get active(): number {
    return this.#runs.active
  }

  /** Reads the jobs, and follows the runs that had begun; nothing begins before `start`. To be called once. */
  async load(): Promise<void> {
    await this.#jobs.load()
    const now = this.#clock.now()
    await this.#bringForward(({ updatedAt, lastRun }) => Math.max(updatedAt, lastRun?.firedAt ?? 0) > now)
    this.#firing.load()
    await this.#runs.load()
    for (const job of [...this.#jobs.values()].filter(isDone)) {
      await this.#jobs.remove(job, [removedEntry(job, now, 'done')])
    }
  }

  /** From now on jobs run at their times. */
  start(): void {
    this.#ticker.start()
  }

  /** Nothing begins any more; resolves when all that has ended is written. Twice is fine. */
  async stop(): Promise<void> {
    const idle = this.#ticker.stop()
    this.#stopping.abort()
    await idle
    await this.#runs.stop()
  }

  /** @throws as `readSchedule` and `readPayload`, `FORBIDDEN`, or as `Jobs.add`. */
  async add(
    principal: Principal,
    sessionKey: string | null,
    params: ParamsOf<typeof cronAdd>,
  ): Promise<CronJob> {
    const now = this.#clock.now()
    const jobId = newJobId()
    const { name = null, enabled = true, misfire = 'once', overlap = 'skip', deleteAfterRun = false } = params
    const { schedule, nextRunAt } = await readSchedule(params.schedule, now)
    const payload = readPayload(params.payload, sessionKey, this.#options)
    const { deliver } = payload
    const own = deliver === undefined ? `cron:${jobId}:main` : sessionKeyOf(deliver.channel, deliver)
    const job: Job = {
      jobId,
      name,
      sessionKey: sessionKey ?? own,
      schedule,
      payload,
      enabled,
      misfire,
      overlap,
      deleteAfterRun,
      owner: ownerOf(principal),
      createdAt: now,
      updatedAt: now,
      nextRunAt: enabled ? nextRunAt : null,
      lastRun: null,
      running: [],
      runs: 0,
    }
    permit(principal, job)
    await this.#jobs.add(job, [jobEntry(EVENTS.cronAdded.name, job)])
    return describe(job)
  }

  /** @throws the same, or `NOT_FOUND`. */
  async update(principal: Principal, params: ParamsOf<typeof cronUpdate>): Promise<CronJob> {
    return this.#inTurn(principal, params.jobId, async (before) => {
      const now = this.#clock.now()
      const given = params.schedule
      const schedule = given === undefined ? before.schedule : (await readSchedule(given, now)).schedule
      const { enabled = before.enabled, payload } = params
      const isNew = given !== undefined || !before.enabled
      const nextRunAt = isNew ? (await timesOf(schedule)).next(now) : before.nextRunAt
      const job: Job = {
        ...before,
        name: params.name === undefined ? before.name : params.name,
        schedule,
        payload:
          payload === undefined ? before.payload : readPayload(payload, before.sessionKey, this.#options),
        enabled,
        misfire: params.misfire ?? before.misfire,
        overlap: params.overlap ?? before.overlap,
        deleteAfterRun: params.deleteAfterRun ?? before.deleteAfterRun,
        owner: ownerOf(principal),
        updatedAt: now,
        nextRunAt: enabled ? nextRunAt : null,
      }
      permit(principal, job)
      await this.#jobs.update(job, [jobEntry(EVENTS.cronUpdated.name, job)])
      return describe(job)
    })
  }

  /** @throws `NOT_FOUND`. */
  async remove(principal: Principal, jobId: string): Promise<void> {
    await this.#inTurn(principal, jobId, async (job) => {
      await this.#jobs.remove(job, [removedEntry(job, this.#clock.now(), 'removed')])
    })
  }

  /** Runs a job now. @throws `NOT_FOUND`, `UNAVAILABLE` where too many of its runs wait, or as an event that is refused. */
  run(principal: Principal, jobId: string): Promise<CronRun> {
    return this.#inTurn(principal, jobId, (job) => this.#firing.manual(job))
  }

  list(
    principal: Principal,
    sessionKey: string | null,
    { enabled, limit = DEFAULT_PAGE, cursor }: ParamsOf<typeof cronList>,
  ): { jobs: CronJob[]; nextCursor: string | null } {
    const after = cursor === undefined ? null : decodeCursor(cursor).key
    const found: Job[] = []
    for (const job of this.#jobs.values()) {
      if (after !== null && job.jobId <= after) continue
      if (sessionKey !== null && job.sessionKey !== sessionKey) continue
      if (enabled !== undefined && job.enabled !== enabled) continue
      if (!principal.allowsSession(job.sessionKey)) continue
      found.push(job)
      if (found.length > limit) break
    }
    const page = found.slice(0, limit)
    const { createdAt: updatedAt = 0, jobId: key = '' } = page.at(-1) ?? {}
    return {
      jobs: page.map(describe),
      nextCursor: found.length > limit ? encodeCursor({ updatedAt, key }) : null,
    }
  }

  /** Of a job that is removed as well. @throws `NOT_FOUND` where there is nothing that may be seen. */
  async runs(
    principal: Principal,
    { jobId, limit = DEFAULT_PAGE, cursor }: ParamsOf<typeof cronRuns>,
  ): Promise<{ runs: CronRun[]; nextCursor: string | null }> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor)
    const before = from && { at: from.updatedAt, id: from.key }
    const { journal } = this.#options
    const documents = await journal.documents({ kind: RUN, subject: jobId, limit: limit + 1, before })
    const page = documents.slice(0, limit)
    const runs = page.map(toRun).filter(({ sessionKey }) => principal.allowsSession(sessionKey))
    if (runs.length === 0) this.#require(principal, jobId)
    const last = page.at(-1)
    const hasMore = documents.length > limit && last !== undefined
    return { runs, nextCursor: hasMore ? encodeCursor({ updatedAt: last.at, key: last.id }) : null }
  }

  /** JSON text of the jobs that a principal may see and whose times come next. */
  snapshot(principal: Principal): string {
    if (principal.sessions !== null) return this.#makeSnapshot(principal)
    this.#snapshot ??= this.#makeSnapshot(principal)
    return this.#snapshot
  }

  #makeSnapshot(principal: Principal): string {
    const time = ({ nextRunAt }: Job) => nextRunAt ?? Number.MAX_SAFE_INTEGER
    const first: Job[] = []
    // Of thousands only the first few are kept in order.
    for (const job of this.#jobs.values()) {
      const isFull = first.length === SNAPSHOT_SIZE
      if (isFull && time(job) >= time(first.at(-1)!)) continue
      if (!principal.allowsSession(job.sessionKey)) continue
      const place = first.findLastIndex((other) => time(other) <= time(job)) + 1
      first.splice(place, 0, job)
      if (isFull) first.pop()
    }
    return JSON.stringify(first.map(summarize))
  }

  #changed(jobId: string): void {
    this.#snapshot = null
    this.#ticker.changed(jobId)
    if (this.#jobs.get(jobId) === undefined) this.#firing.forget(jobId)
  }

  #require(principal: Principal, jobId: string): Job {
    const job = this.#jobs.get(jobId)
    if (job !== undefined && principal.allowsSession(job.sessionKey)) return job
    throw new GatewayError('NOT_FOUND', 'There is no such job.', { details: { jobId } })
  }

  /** With the job as it is once its turn has come. */
  async #inTurn<T>(principal: Principal, jobId: string, work: (job: Job) => Promise<T>): Promise<T> {
    if (this.#options.isStopping()) throw new GatewayError('UNAVAILABLE', 'The gateway is stopping.')
    this.#require(principal, jobId)
    return this.#jobs.turns.take(jobId, async () => work(this.#require(principal, jobId)))
  }

  /** Times that were found while the clock was ahead may be far off. */
  async #bringForward(isOff: (job: Job) => boolean): Promise<void> {
    const found = [...this.#jobs.values()].filter(isOff).map(({ jobId }) =>
      this.#jobs.turns.take(jobId, async () => {
        const job = this.#jobs.get(jobId)
        if (job === undefined || job.nextRunAt === null) return
        const nextRunAt = (await timesOf(job.schedule)).next(this.#clock.now())
        if (nextRunAt !== null && nextRunAt < job.nextRunAt) {
          await this.#jobs.save({ ...job, nextRunAt }, [], [])
        }
      }),
    )
    await Promise.all(found)
  }
}

function timeOf(job: Job | undefined): number | null {
  return job === undefined || !job.enabled ? null : job.nextRunAt
}

function permit(principal: Principal, { sessionKey, payload }: Job): void {
  for (const key of sessionsOf(sessionKey, payload)) {
    if (principal.allowsSession(key)) continue
    throw new GatewayError('FORBIDDEN', 'These credentials do not cover that session.', {
      details: { sessionKey: key },
    })
  }
}
