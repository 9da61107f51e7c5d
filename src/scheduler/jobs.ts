import type { Entry, Journal } from '../journal/journal.js'
import { type CronRun, GatewayError } from '../protocol/index.js'
import { Turns } from '../sessions/turns.js'
import { JOB, type Job, jobDocument, RUN, runDocument, runId, toJob } from './job.js'

export interface JobLimits {
  readonly maxJobs: number
  readonly maxRunsKept: number
  readonly runRetentionMs: number
}

export interface JobsOptions {
  readonly journal: Journal
  /** Read at each use. */
  readonly limits: JobLimits
  /** A job is another one now, or is gone. */
  readonly onChange: (jobId: string) => void
}

/** The jobs, in memory as they are in the journal. */
export class Jobs {
  /** What changes a job happens one after the other. */
  readonly turns = new Turns()
  readonly #options: JobsOptions
  readonly #jobs = new Map<string, Job>()
  /** Ids by name, also of those that are on their way to the disk. */
  readonly #names = new Map<string, string>()
  #adding = 0

  constructor(options: JobsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#jobs.size
  }

  values(): IterableIterator<Job> {
    return this.#jobs.values()
  }

  get(jobId: string): Job | undefined {
    return this.#jobs.get(jobId)
  }

  /** Reads what the journal has, to be called once. */
  async load(): Promise<void> {
    const documents = await this.#options.journal.documents({ kind: JOB, limit: Number.MAX_SAFE_INTEGER })
    // Oldest first: the order of lists.
    for (const job of documents.map(toJob).reverse()) this.#set(job)
  }

  /** @throws `CONFLICT` where there is one of that name, `UNAVAILABLE` where there are too many. */
  async add(job: Job, entries: readonly Entry[]): Promise<void> {
    const { maxJobs } = this.#options.limits
    if (this.#jobs.size + this.#adding >= maxJobs) {
      throw new GatewayError('UNAVAILABLE', `There are ${maxJobs} jobs already (cron.maxJobs).`, {
        retryable: false,
      })
    }
    this.#adding++
    try {
      await this.#named(job, null, () => this.save(job, [], entries))
    } finally {
      this.#adding--
    }
  }

  /** The same for a job that is there, perhaps under another name. */
  async update(job: Job, entries: readonly Entry[]): Promise<void> {
    await this.#named(job, this.#jobs.get(job.jobId)!.name, () => this.save(job, [], entries))
  }

  /** Writes a job with runs of it, and what is to be seen of that, in one commit. @throws `UNAVAILABLE`; then nothing is kept. */
  async save(job: Job, runs: readonly CronRun[], entries: readonly Entry[]): Promise<void> {
    const { journal, limits } = this.#options
    const before = this.#jobs.get(job.jobId)?.runs ?? job.runs
    const forgotten: Promise<unknown>[] = []
    for (let run = before; run < job.runs; run++) {
      const gone = run - limits.maxRunsKept
      if (gone >= 0) forgotten.push(journal.removeDocument(RUN, runId(job.jobId, gone)))
    }
    const saved = journal.saveDocuments([jobDocument(job), ...this.#documents(runs)], entries)
    // What is not forgotten now goes when it is too old.
    await Promise.all([saved, Promise.allSettled(forgotten)])
    this.#set(job)
  }

  /** Writes runs of a job that is not there any more. */
  async saveRuns(runs: readonly CronRun[], entries: readonly Entry[]): Promise<void> {
    await this.#options.journal.saveDocuments(this.#documents(runs), entries)
  }

  /** Its runs stay until they are too old. */
  async remove(job: Job, entries: readonly Entry[]): Promise<void> {
    await this.#options.journal.removeDocument(JOB, job.jobId, entries)
    this.#jobs.delete(job.jobId)
    if (job.name !== null) this.#names.delete(job.name)
    this.#options.onChange(job.jobId)
  }

  #documents(runs: readonly CronRun[]) {
    return runs.map((run) => runDocument(run, this.#options.limits.runRetentionMs))
  }

  #set(job: Job): void {
    this.#jobs.set(job.jobId, job)
    if (job.name !== null) this.#names.set(job.name, job.jobId)
    this.#options.onChange(job.jobId)
  }

  /** The name is the job's from now on, and the one before is free once that is written. */
  async #named({ jobId, name }: Job, before: string | null, write: () => Promise<void>): Promise<void> {
    if (name === before) return write()
    const holder = name === null ? undefined : this.#names.get(name)
    if (holder !== undefined) {
      throw new GatewayError('CONFLICT', `There is a job of the name '${name}' already.`)
    }
    if (name !== null) this.#names.set(name, jobId)
    try {
      await write()
    } catch (error) {
      if (name !== null) this.#names.delete(name)
      throw error
    }
    if (before !== null) this.#names.delete(before)
  }
}
