import type { Principal } from '../auth/principal.js'
import type { Journal } from '../journal/journal.js'
import type { AcceptedEvent, Incoming } from '../lanes/intake.js'
import { ownKey } from '../lanes/own-key.js'
import type { Log } from '../log.js'
import { type CronRun, GatewayError, toErrorShape } from '../protocol/index.js'
import type { Clock } from './clock.js'
import { dueOf } from './due.js'
import { dueKey, finishedEntry, firedEntry, incomingOf, type Job, principalOf, runId } from './job.js'
import type { Jobs } from './jobs.js'
import type { Runs } from './runs.js'
import { timesOf } from './times.js'

export interface FiringLimits {
  readonly misfireGraceMs: number
  readonly maxCatchUp: number
  readonly maxQueued: number
}

export interface FiringOptions {
  readonly journal: Pick<Journal, 'findDuplicate'>
  readonly jobs: Jobs
  readonly runs: Runs
  readonly clock: Clock
  readonly log: Log
  /** Read at each use. */
  readonly limits: FiringLimits
  readonly accept: (incoming: Incoming, principal: Principal) => Promise<AcceptedEvent>
  /** Stops a run; resolves once that is on disk. */
  readonly abort: (runId: string, reason: string, signal: AbortSignal) => Promise<unknown>
  readonly observe: (status: CronRun['status']) => void
  /** From now on nothing begins. */
  readonly isStopping: () => boolean
  readonly signal: AbortSignal
}

interface Fire {
  readonly dueAt: number
  readonly trigger: CronRun['trigger']
  /** The job's next time after this one. */
  readonly nextRunAt: number | null
}

const RETRY_MS = 1_000

/**
 * Makes events of the times of jobs. The event is on disk before the job's next time is: a process that dies in between finds
 * it there by its key, and does not make it again.
 */
export class Firing {
  readonly #options: FiringOptions
  /** Jobs whose time may have become an event that they do not know of: the process died, or the disk was full, in between. */
  readonly #unsure = new Set<string>()
  /** The time that was left out last, of jobs that have left out all since their last run. */
  readonly #skipped = new Map<string, CronRun>()
  /** Jobs that could not run for want of room; said once. */
  readonly #putOff = new Set<string>()

  constructor(options: FiringOptions) {
    this.#options = options
  }

  /** The jobs were just read from the journal. */
  load(): void {
    const now = this.#options.clock.now()
    for (const { jobId, nextRunAt } of this.#options.jobs.values()) {
      if (nextRunAt !== null && nextRunAt <= now) this.#unsure.add(jobId)
    }
  }

  /** The job is gone. */
  forget(jobId: string): void {
    this.#unsure.delete(jobId)
    this.#skipped.delete(jobId)
    this.#putOff.delete(jobId)
  }

  /** Does what is to be done about the times of a job that have come. Resolves with when to try again; null: it is done. */
  due(jobId: string): Promise<number | null> {
    const { jobs, clock, log, isStopping } = this.#options
    return jobs.turns.take(jobId, async () => {
      if (isStopping()) return clock.now() + RETRY_MS
      try {
        await this.#catchUp(jobId)
        this.#putOff.delete(jobId)
        return null
      } catch (error) {
        if (!(error instanceof GatewayError) || !error.retryable) throw error
        const retryInMs = Math.max(error.retryAfterMs ?? 0, RETRY_MS)
        const level = this.#putOff.has(jobId) ? 'debug' : 'warn'
        this.#putOff.add(jobId)
        log[level]({ err: error, jobId, retryInMs }, 'a scheduled job cannot run yet')
        return clock.now() + retryInMs
      }
    })
  }

  /** Runs a job now. In a turn of the job. @throws as an event that is refused. */
  async manual(job: Job): Promise<CronRun> {
    const { clock, limits, accept } = this.#options
    if (job.running.length >= limits.maxQueued) {
      throw new GatewayError('UNAVAILABLE', `${job.running.length} runs of this job have not ended.`)
    }
    const dueAt = clock.now()
    const key = ownKey('cron', `${job.jobId}:manual:${job.runs}:${dueAt}`)
    const accepted = await accept(incomingOf(job, dueAt, key), principalOf(job))
    const fire: Fire = { dueAt, trigger: 'manual', nextRunAt: job.nextRunAt }
    const run = this.#runOf(job, fire, accepted)
    await this.#fired(job, fire, run)
    return run
  }

  /** @throws what is retryable; then the rest is as it was. */
  async #catchUp(jobId: string): Promise<void> {
    const { jobs, clock, limits, signal } = this.#options
    let job = jobs.get(jobId)
    if (job === undefined || !job.enabled || job.nextRunAt === null) return
    const times = await timesOf(job.schedule)
    if (this.#unsure.has(jobId)) job = await this.#takeUp(job, times.next(job.nextRunAt))
    const now = clock.now()
    if (job.nextRunAt === null || job.nextRunAt > now) return
    const { misfire, nextRunAt: from } = job
    const { missedFrom, run, next } = dueOf(times, from, now, {
      misfire,
      graceMs: limits.misfireGraceMs,
      maxCatchUp: limits.maxCatchUp,
    })
    if (missedFrom !== null) {
      const nextRunAt = run[0]?.dueAt ?? next
      job = await this.#skip(job, { dueAt: missedFrom, trigger: 'missed', nextRunAt }, 'missed')
    }
    for (const [i, time] of run.entries()) {
      if (signal.aborted) return
      const waits = run.length > 1 || (misfire === 'all' && time.trigger === 'missed')
      job = await this.#fire(job, { ...time, nextRunAt: run[i + 1]?.dueAt ?? next }, waits)
    }
  }

  /** Takes up what became an event, of which nothing else is on disk. */
  async #takeUp(job: Job, nextRunAt: number | null): Promise<Job> {
    const dueAt = job.nextRunAt!
    const accepted = await this.#options.journal.findDuplicate(job.sessionKey, dueKey(job, dueAt))
    if (accepted === null) {
      this.#unsure.delete(job.jobId)
      return job
    }
    const fire: Fire = { dueAt, trigger: 'schedule', nextRunAt }
    return this.#fired(job, fire, this.#runOf(job, fire, accepted))
  }

  /** @param waits whether it is one of several that are made up for: these wait for each other. */
  async #fire(job: Job, fire: Fire, waits: boolean): Promise<Job> {
    const { accept } = this.#options
    const { dueAt, nextRunAt } = fire
    const blocked = waits ? null : await this.#overlap(job)
    if (blocked !== null) return this.#skip(job, fire, blocked)
    try {
      const accepted = await accept(incomingOf(job, dueAt, dueKey(job, dueAt)), principalOf(job))
      // The clock was set back, and it is the same time again.
      if (accepted.duplicate) return await this.#advance({ ...job, nextRunAt })
      return await this.#fired(job, fire, this.#runOf(job, fire, accepted))
    } catch (error) {
      if (!(error instanceof GatewayError) || error.retryable) throw error
      return this.#refused(job, fire, error)
    }
  }

  /** Why this time is left out as the run before has not ended; null: it is not. */
  async #overlap({ overlap, running, jobId }: Job): Promise<CronRun['reason']> {
    if (running.length === 0) return null
    if (overlap === 'skip') return 'overlap'
    if (overlap === 'queue') return running.length < this.#options.limits.maxQueued ? null : 'queue_full'
    const { abort, signal, log, runs } = this.#options
    const stops = running.map(async (cronRunId) => {
      const run = runs.get(cronRunId)
      if (run !== undefined) await abort(run.runId!, 'replaced by its next run', signal)
    })
    for (const stop of await Promise.allSettled(stops)) {
      if (stop.status === 'rejected') log.warn({ err: stop.reason, jobId }, 'a run could not be replaced')
    }
    return null
  }

  async #advance(job: Job): Promise<Job> {
    await this.#options.jobs.save(job, [], [])
    return job
  }

  #runOf(
    { jobId, sessionKey, runs }: Job,
    { dueAt, trigger }: Fire,
    accepted: Pick<AcceptedEvent, 'eventId' | 'runId'> | null,
  ): CronRun {
    return {
      cronRunId: runId(jobId, runs),
      jobId,
      sessionKey,
      trigger,
      dueAt,
      firedAt: this.#options.clock.now(),
      endedAt: null,
      status: 'queued',
      eventId: accepted?.eventId ?? null,
      runId: accepted?.runId ?? null,
      error: null,
      reason: null,
      skipped: 0,
    }
  }

  /** The event is on disk: now the job says so as well. */
  async #fired(job: Job, { nextRunAt }: Fire, run: CronRun): Promise<Job> {
    const { jobs, runs } = this.#options
    const { jobId } = job
    const { cronRunId } = run
    const running = [...job.running, cronRunId]
    const fired: Job = { ...job, nextRunAt, runs: job.runs + 1, running, lastRun: refOf(run) }
    const isDue = run.trigger !== 'manual'
    if (isDue) this.#unsure.add(jobId)
    await jobs.save(fired, [run], [firedEntry(run, nextRunAt)])
    if (isDue) this.#unsure.delete(jobId)
    this.#skipped.delete(jobId)
    runs.follow(run)
    return fired
  }

  async #refused(job: Job, fire: Fire, error: GatewayError): Promise<Job> {
    const { jobs, log, observe } = this.#options
    log.warn({ err: error, jobId: job.jobId }, 'the event of a scheduled job was refused')
    const tried = this.#runOf(job, fire, null)
    const run: CronRun = { ...tried, status: 'failed', error: toErrorShape(error), endedAt: tried.firedAt }
    const { nextRunAt } = fire
    const refused: Job = { ...job, nextRunAt, runs: job.runs + 1, lastRun: refOf(run) }
    await jobs.save(refused, [run], [finishedEntry(run)])
    observe('failed')
    return refused
  }

  /** One record and one event for all that are left out in a row, for the same reason. */
  async #skip(job: Job, fire: Fire, reason: CronRun['reason']): Promise<Job> {
    const { jobs, observe } = this.#options
    const { jobId } = job
    const { nextRunAt } = fire
    const before = this.#skipped.get(jobId)
    const again = reason !== 'missed' && before?.reason === reason ? before : null
    const fresh = this.#runOf(job, fire, null)
    const run: CronRun = {
      ...(again ?? fresh),
      status: 'skipped',
      reason,
      endedAt: fresh.firedAt,
      skipped: reason === 'missed' ? 0 : (again?.skipped ?? 0) + 1,
    }
    const skipped = { ...job, nextRunAt, runs: again === null ? job.runs + 1 : job.runs }
    await jobs.save(skipped, [run], again === null ? [finishedEntry(run)] : [])
    this.#skipped.set(jobId, run)
    observe('skipped')
    return skipped
  }
}

function refOf({ cronRunId, dueAt, firedAt, status }: CronRun): Job['lastRun'] {
  return { cronRunId, dueAt, firedAt, status }
}
