import { type Static, Type } from '@sinclair/typebox'
import { ErrorShape } from './errors.js'
import type { InboundEvent } from './inbound-event.js'
import { Id, SessionKey, Timestamp } from './primitives.js'

/** The source of the events that schedules make. No client may use it. */
export const CRON_SOURCE = 'cron'

/** The type of an event that tells an agent something and that no person said. */
export const SYSTEM_EVENT = 'system.event'

const MAX_TEXT_CHARS = 16_384
const TEN_YEARS_MS = 315_360_000_000
/** The end of the year 9999. */
const MAX_TIME = 253_402_300_799_999

const text = (description: string) => Type.String({ minLength: 1, maxLength: MAX_TEXT_CHARS, description })
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

const everyMs = Type.Integer({
  minimum: 1_000,
  maximum: TEN_YEARS_MS,
  description: 'Milliseconds from one time to the next, counted from `anchor`: nothing drifts.',
})
const cron = Type.String({
  minLength: 1,
  maxLength: 256,
  description:
    'Five fields (minute, hour, day of month, month, day of week), six with seconds before them, seven with a year after them, or a name such as `@daily`.',
})
const timeZone = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'By its IANA name, such as `Europe/Berlin`.',
})

/** When a job runs: one of `at`, `everyMs` and `cron`. */
export const CronSchedule = Type.Object(
  {
    at: Type.Optional(Timestamp),
    everyMs: Type.Optional(everyMs),
    anchor: Type.Optional(Timestamp),
    cron: Type.Optional(cron),
    timeZone: Type.Optional(timeZone),
  },
  { $id: 'CronSchedule', description: 'One of `at`, `everyMs` with `anchor`, and `cron` with `timeZone`.' },
)
export type CronSchedule = Static<typeof CronSchedule>

/** The same as it is given. */
export const CronScheduleInput = Type.Object({
  at: Type.Optional(
    Type.Union([Type.Integer({ minimum: 0, maximum: MAX_TIME }), Type.String({ maxLength: 64 })], {
      description: 'Once: milliseconds since 1970, or a text such as `2027-01-31T18:00:00+01:00`.',
    }),
  ),
  everyMs: Type.Optional(everyMs),
  anchor: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_TIME,
      description:
        'With `everyMs`: one of the times, and none comes before it. Default: the time of the call.',
    }),
  ),
  cron: Type.Optional(cron),
  timeZone: Type.Optional(
    Type.String({ ...timeZone, description: 'With `cron`. Default: that of the gateway’s host.' }),
  ),
})

const channel = Type.String({ minLength: 1, maxLength: 32 })
const peer = Type.String({ minLength: 1, maxLength: 256, description: 'As the platform names it.' })
const thread = Type.String({ minLength: 1, maxLength: 256 })

/** Where an answer is said. */
export const CronDelivery = Type.Object({ channel, peer, thread: nullable(thread) })
export type CronDelivery = Static<typeof CronDelivery>

const kind = Type.Union([Type.Literal('systemEvent'), Type.Literal('agentTurn')])
const payload = {
  kind,
  text: Type.Optional(
    text('With `systemEvent`: becomes part of the conversation, for the agent to know. Needs no answer.'),
  ),
  message: Type.Optional(text('With `agentTurn`: what the agent is asked.')),
  agent: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'With `agentTurn`: who is asked. Default: as for any message of the session.',
    }),
  ),
}

/** What a job does. */
export const CronPayload = Type.Object(
  { ...payload, deliver: Type.Optional(CronDelivery) },
  { $id: 'CronPayload' },
)
export type CronPayload = Static<typeof CronPayload>

/** The same as it is given. */
export const CronPayloadInput = Type.Object({
  ...payload,
  deliver: Type.Optional(
    Type.Object(
      { channel: Type.Optional(channel), peer: Type.Optional(peer), thread: Type.Optional(thread) },
      {
        description:
          'With `agentTurn`: says the answer on a channel, at `channel` and `peer`; empty: in the conversation of the session key.',
      },
    ),
  ),
})

export const Misfire = Type.Union([Type.Literal('skip'), Type.Literal('once'), Type.Literal('all')], {
  description:
    'What becomes of the times that were missed, as while the gateway was down: nothing, one run for all of them, or one for each, at most `cron.maxCatchUp`.',
})
export const Overlap = Type.Union([Type.Literal('skip'), Type.Literal('queue'), Type.Literal('replace')], {
  description:
    'What becomes of a time that comes while the run before has not ended: it is left out, waits (at most `cron.maxQueued`), or takes the place of that run, which is aborted.',
})

export const CronStatus = Type.Union(
  [
    Type.Literal('queued'),
    Type.Literal('completed'),
    Type.Literal('failed'),
    Type.Literal('aborted'),
    Type.Literal('skipped'),
  ],
  { description: '`queued`: accepted, and its run has not ended yet.' },
)

/** One run of a job, or why there was none. */
export const CronRun = Type.Object(
  {
    cronRunId: Id,
    jobId: Id,
    sessionKey: SessionKey,
    trigger: Type.Union([Type.Literal('schedule'), Type.Literal('missed'), Type.Literal('manual')], {
      description: '`missed`: made up for later; `manual`: by `cron.run`.',
    }),
    dueAt: Timestamp,
    firedAt: Timestamp,
    endedAt: nullable(Timestamp),
    status: CronStatus,
    eventId: nullable(Id),
    runId: nullable(Id),
    error: nullable(ErrorShape),
    reason: nullable(
      Type.Union([Type.Literal('missed'), Type.Literal('overlap'), Type.Literal('queue_full')], {
        description: 'Why it was skipped.',
      }),
    ),
    skipped: Type.Integer({
      minimum: 0,
      description: 'How many times in a row were left out, where that is known; 0: none, or unknown.',
    }),
  },
  { $id: 'CronRun' },
)
export type CronRun = Static<typeof CronRun>

const summary = {
  jobId: Id,
  name: nullable(Type.String({ description: 'No two jobs have the same.' })),
  sessionKey: SessionKey,
  schedule: CronSchedule,
  enabled: Type.Boolean(),
  nextRunAt: Type.Union([Timestamp, Type.Null()], { description: 'Null: never, as things are.' }),
  lastRun: nullable(Type.Object({ cronRunId: Id, dueAt: Timestamp, firedAt: Timestamp, status: CronStatus })),
  running: Type.Integer({ minimum: 0, description: 'Its runs that have not ended.' }),
}

/** A job without what it does. */
export const CronJobSummary = Type.Object(summary, { $id: 'CronJobSummary' })
export type CronJobSummary = Static<typeof CronJobSummary>

export const CronJob = Type.Object(
  {
    ...summary,
    payload: CronPayload,
    misfire: Misfire,
    overlap: Overlap,
    deleteAfterRun: Type.Boolean(),
    owner: Type.String({ description: 'Who made or changed it last: it runs with their rights.' }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  },
  { $id: 'CronJob' },
)
export type CronJob = Static<typeof CronJob>

/** What the event of a job says of it, under `payload.cron`. */
export interface CronOrigin {
  readonly jobId: string
  readonly name: string | null
  readonly dueAt: number
  readonly agent?: string
  readonly deliver?: CronDelivery
}

/** The job that made an event; null: none did. */
export function cronOrigin({ source, payload }: Pick<InboundEvent, 'source' | 'payload'>): CronOrigin | null {
  if (source !== CRON_SOURCE || typeof payload.cron !== 'object') return null
  return payload.cron as CronOrigin | null
}
