import { Type } from '@sinclair/typebox'
import { Accepted } from '../accepted.js'
import { contract } from '../contract.js'
import { Attachment, HistoryEntry } from '../events.js'
import { SessionSummary } from '../frames.js'
import {
  Cursor,
  IdempotencyKey,
  JsonObject,
  NextCursor,
  PageLimit,
  Priority,
  QueueMode,
} from '../primitives.js'

const nullableString = (maxLength: number, description: string) =>
  Type.Union([Type.String({ minLength: 1, maxLength }), Type.Null()], { description })

const settings = {
  title: Type.Optional(nullableString(256, 'Null removes it.')),
  agent: Type.Optional(nullableString(64, 'The agent of this session; null: by routing.')),
  queueMode: Type.Optional(
    Type.Union([...QueueMode.anyOf, Type.Null()], {
      description: `${QueueMode.description} Null: as the configuration says.`,
    }),
  ),
  metadata: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.Unknown(), { maxProperties: 64 })),
}

const SessionResult = Type.Object({ session: SessionSummary })

export const sessionsList = contract({
  name: 'sessions.list',
  summary: 'Sessions, most recently used first.',
  scope: 'read',
  large: true,
  params: Type.Object({
    channel: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    agent: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    active: Type.Optional(
      Type.Boolean({ description: 'Only those whose lane has work (true) or has none (false).' }),
    ),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({ sessions: Type.Array(SessionSummary), nextCursor: NextCursor }),
})

export const sessionsGet = contract({
  name: 'sessions.get',
  summary: 'One session.',
  scope: 'read',
  session: 'required',
  params: Type.Object({}),
  result: SessionResult,
})

export const sessionsHistory = contract({
  name: 'sessions.history',
  summary: 'The messages of a session since its last reset, oldest first; pages go back in time.',
  scope: 'read',
  session: 'required',
  large: true,
  params: Type.Object({ limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({ messages: Type.Array(HistoryEntry), nextCursor: NextCursor }),
})

export const sessionsCreate = contract({
  name: 'sessions.create',
  summary: 'Makes a session before its first message; `CONFLICT` when it exists.',
  scope: 'write',
  session: 'required',
  params: Type.Object(settings),
  result: SessionResult,
})

export const sessionsPatch = contract({
  name: 'sessions.patch',
  summary:
    'Changes a session’s settings; fields that are left out stay, `metadata` is merged and its nulls remove.',
  scope: 'write',
  session: 'required',
  params: Type.Object(settings),
  result: SessionResult,
})

export const sessionsReset = contract({
  name: 'sessions.reset',
  summary: 'Starts the conversation anew: earlier messages leave the history. What waits in the lane stays.',
  scope: 'write',
  session: 'required',
  params: Type.Object({}),
  result: SessionResult,
})

export const sessionsDelete = contract({
  name: 'sessions.delete',
  summary: 'Removes a session with its messages; `CONFLICT` while its lane has work (abort it first).',
  scope: 'write',
  session: 'required',
  params: Type.Object({}),
  result: Type.Object({ deleted: Type.Literal(true) }),
})

export const sessionsSend = contract({
  name: 'sessions.send',
  summary: 'Queues a message for a session; answers once it is on disk, or with `wait` once it is answered.',
  scope: 'write',
  session: 'required',
  params: Type.Object({
    content: Type.String({ minLength: 1 }),
    attachments: Type.Optional(Type.Array(Attachment, { maxItems: 32 })),
    idempotencyKey: Type.Optional(IdempotencyKey),
    priority: Type.Optional(Priority),
    wait: Type.Optional(Type.Boolean({ description: 'Answer with the outcome of the run. Default: false.' })),
    metadata: Type.Optional(JsonObject),
  }),
  result: Accepted,
})
