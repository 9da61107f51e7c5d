import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { CronJob, CronPayloadInput, CronRun, CronScheduleInput, Misfire, Overlap } from '../cron.js'
import { Cursor, Id, NextCursor, PageLimit } from '../primitives.js'

const name = Type.String({ minLength: 1, maxLength: 128, description: 'No two jobs have the same.' })
const optional = {
  enabled: Type.Optional(Type.Boolean()),
  misfire: Type.Optional(Misfire),
  overlap: Type.Optional(Overlap),
  deleteAfterRun: Type.Optional(
    Type.Boolean({
      description: 'Removes the job once it has no further time and its last run has completed.',
    }),
  ),
}
const JobResult = Type.Object({ job: CronJob })

export const cronList = contract({
  name: 'cron.list',
  summary: 'The jobs, oldest first; with a session key only that session’s.',
  scope: 'read',
  session: 'optional',
  large: true,
  params: Type.Object({
    enabled: Type.Optional(Type.Boolean()),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({ jobs: Type.Array(CronJob), nextCursor: NextCursor }),
})

export const cronAdd = contract({
  name: 'cron.add',
  summary:
    'Adds a job to a session: that of the session key, or else of the conversation that it delivers to, or else one of its own. Default: enabled, `misfire` once, `overlap` skip.',
  scope: 'write',
  session: 'optional',
  audited: true,
  params: Type.Object({
    name: Type.Optional(name),
    schedule: CronScheduleInput,
    payload: CronPayloadInput,
    ...optional,
  }),
  result: JobResult,
})

export const cronUpdate = contract({
  name: 'cron.update',
  summary:
    'Changes a job; what is left out stays. From then on it runs with the rights of who changed it. Its session stays.',
  scope: 'write',
  audited: true,
  params: Type.Object({
    jobId: Id,
    name: Type.Optional(Type.Union([name, Type.Null()])),
    schedule: Type.Optional(CronScheduleInput),
    payload: Type.Optional(CronPayloadInput),
    ...optional,
  }),
  result: JobResult,
})

export const cronRemove = contract({
  name: 'cron.remove',
  summary: 'Removes a job. A run that has begun goes on.',
  scope: 'write',
  audited: true,
  params: Type.Object({ jobId: Id }),
  result: Type.Object({ removed: Type.Literal(true) }),
})

export const cronRun = contract({
  name: 'cron.run',
  summary:
    'Runs a job now, whether it is enabled or not, behind those of its runs that have not ended; answers once that is on disk.',
  scope: 'write',
  audited: true,
  params: Type.Object({ jobId: Id }),
  result: Type.Object({ run: CronRun }),
})

export const cronRuns = contract({
  name: 'cron.runs',
  summary: 'The latest runs of a job, newest first; those of a removed job until they are forgotten.',
  scope: 'read',
  large: true,
  params: Type.Object({ jobId: Id, limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({ runs: Type.Array(CronRun), nextCursor: NextCursor }),
})
