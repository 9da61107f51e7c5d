import { createPrincipal, type Principal } from '../auth/principal.js'
import type { DocumentRecord } from '../journal/documents.js'
import type { Entry } from '../journal/journal.js'
import type { Incoming } from '../lanes/intake.js'
import { ownKey } from '../lanes/own-key.js'
import type { Scope } from '../protocol/contract.js'
import { CRON_SOURCE, type CronOrigin, SYSTEM_EVENT } from '../protocol/cron.js'
import {
  type CronJob,
  type CronJobSummary,
  type CronRun,
  EVENTS,
  MESSAGE_RECEIVED,
} from '../protocol/index.js'
import { entry } from '../sessions/sessions.js'

/** Whose rights a job runs with. They are those of the time at which it was made: its token may be gone. */
interface Owner {
  readonly name: string
  readonly role: string
  readonly scopes: readonly Scope[]
  readonly sessions: readonly string[] | null
}

/** A job as it is kept. Immutable: each change makes another one. */
export interface Job extends Readonly<Omit<CronJob, 'owner' | 'running'>> {
  readonly owner: Owner
  /** The ids of its runs that have not ended, oldest first. */
  readonly running: readonly string[]
  /** Counts its runs, for their ids. */
  readonly runs: number
}

/** Kinds of documents. */
export const JOB = 'schedule'
export const RUN = 'scheduleRun'

const RUN_DIGITS = 9

/** Sorts as the runs of a job began. */
export const runId = (jobId: string, run: number): string =>
  `${jobId}:${String(run).padStart(RUN_DIGITS, '0')}`

export function ownerOf({ name, role, scopes, sessions }: Principal): Owner {
  return { name, role, scopes: [...scopes], sessions }
}

export function principalOf({ owner }: Job): Principal {
  return createPrincipal(owner)
}

export function jobDocument(job: Job): DocumentRecord {
  return {
    kind: JOB,
    id: job.jobId,
    subject: null,
    at: job.createdAt,
    expiresAt: null,
    body: JSON.stringify(job),
  }
}

export function toJob({ body }: DocumentRecord): Job {
  return JSON.parse(body) as Job
}

export function runDocument(run: CronRun, retentionMs: number): DocumentRecord {
  const { cronRunId, jobId, firedAt } = run
  return {
    kind: RUN,
    id: cronRunId,
    subject: jobId,
    at: firedAt,
    expiresAt: firedAt + retentionMs,
    body: JSON.stringify(run),
  }
}

export function toRun({ body }: DocumentRecord): CronRun {
  return JSON.parse(body) as CronRun
}

export function describe({ runs: _, owner, running, ...job }: Job): CronJob {
  return { ...job, owner: owner.name, running: running.length }
}

export function summarize(job: Job): CronJobSummary {
  const { jobId, name, sessionKey, schedule, enabled, nextRunAt, lastRun, running } = job
  return { jobId, name, sessionKey, schedule, enabled, nextRunAt, lastRun, running: running.length }
}

/** The event of one of its times. The same time always makes the same one. */
export function incomingOf(job: Job, dueAt: number, key: string): Incoming {
  const { jobId, name, sessionKey, payload } = job
  const { agent, deliver } = payload
  const origin: CronOrigin = {
    jobId,
    name,
    dueAt,
    ...(agent === undefined ? {} : { agent }),
    ...(deliver === undefined ? {} : { deliver }),
  }
  const event = { source: CRON_SOURCE, sessionKey, priority: 'cron', idempotencyKey: key } as const
  if (payload.kind === 'systemEvent') {
    return { ...event, type: SYSTEM_EVENT, payload: { text: payload.text, cron: origin } }
  }
  const metadata = { cron: { jobId, name, dueAt } }
  const content = payload.message
  return {
    ...event,
    type: MESSAGE_RECEIVED,
    payload: { content, sender: CRON_SOURCE, metadata, cron: origin },
  }
}

/** Makes an event that is sent twice be accepted once. */
export const dueKey = ({ jobId }: Job, dueAt: number): string => ownKey('cron', `${jobId}:${dueAt}`)

export function jobEntry(name: 'cron.added' | 'cron.updated', job: Job): Entry {
  return entry(name, job.sessionKey, job.updatedAt, { job: describe(job) })
}

export function removedEntry(
  { jobId, name, sessionKey }: Job,
  at: number,
  reason: 'removed' | 'done',
): Entry {
  return entry(EVENTS.cronRemoved.name, sessionKey, at, { jobId, name, reason })
}

export function firedEntry(run: CronRun, nextRunAt: number | null): Entry {
  return entry(EVENTS.cronFired.name, run.sessionKey, run.firedAt, { run, nextRunAt })
}

export function finishedEntry(run: CronRun): Entry {
  return entry(EVENTS.cronFinished.name, run.sessionKey, run.endedAt!, { run })
}
