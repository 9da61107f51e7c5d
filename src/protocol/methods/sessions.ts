import { Type } from '@sinclair/typebox'
import { Accepted } from '../accepted.js'
import { contract } from '../contract.js'
import { Attachment, HistoryEntry } from '../events.js'
import { SessionSummary } from '../frames.js'
import {
  Cursor,
  Id,
  IdempotencyKey,
  JsonObject,
  NextCursor,
  PageLimit,
  Priority,
  QueueMode,
  Seq,
  SessionKey,
  Timestamp,
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
    updatedSince: Type.Optional(Timestamp),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({
    sessions: Type.Array(SessionSummary, {
      description:
        'Fewer than `limit`, or none, where many had to be looked at: `nextCursor` goes on from there.',
    }),
    nextCursor: NextCursor,
  }),
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
  summary: 'The messages of a session since its last reset, oldest first; pages go back in time, or forth.',
  scope: 'read',
  session: 'required',
  large: true,
  params: Type.Object({
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(
      Type.String({
        ...Cursor,
        description: 'The `nextCursor` of the page before, or the `seq` of a message: what comes next to it.',
      }),
    ),
    order: Type.Optional(
      Type.Union([Type.Literal('asc'), Type.Literal('desc')], {
        description:
          '`desc`: from the newest message, or the cursor, back; `asc`: from the oldest, or the cursor, forth.',
        default: 'desc',
      }),
    ),
  }),
  result: Type.Object({ messages: Type.Array(HistoryEntry), nextCursor: NextCursor }),
})

export const sessionsSearch = contract({
  name: 'sessions.search',
  summary: 'Messages in which all the words occur, newest first; of one session, of a channel, or of all.',
  scope: 'read',
  session: 'optional',
  large: true,
  params: Type.Object({
    query: Type.String({
      minLength: 1,
      maxLength: 512,
      description: 'Words, "phrases" and `beginnings*`; capitals and accents make no difference.',
    }),
    channel: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({
    hits: Type.Array(
      Type.Object({
        sessionKey: SessionKey,
        messageId: Id,
        role: Type.String(),
        seq: Seq,
        at: Timestamp,
        snippet: Type.String({ description: 'The text around the first match.' }),
      }),
    ),
    nextCursor: NextCursor,
    upToDate: Type.Boolean({
      description: 'False: the newest messages are not searched yet; ask again soon.',
    }),
  }),
})

export const sessionsExport = contract({
  name: 'sessions.export',
  summary: 'A session as JSON lines, some at a time: first the session, then each message, oldest first.',
  scope: 'read',
  session: 'required',
  large: true,
  params: Type.Object({ cursor: Type.Optional(Cursor) }),
  result: Type.Object({
    lines: Type.String({
      description: 'JSON objects with the `type` `session` or `message`, each ended by a line feed.',
    }),
    nextCursor: NextCursor,
  }),
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
  audited: true,
  params: Type.Object(settings),
  result: SessionResult,
})

export const sessionsReset = contract({
  name: 'sessions.reset',
  summary: 'Starts the conversation anew: earlier messages leave the history. What waits in the lane stays.',
  scope: 'write',
  session: 'required',
  audited: true,
  params: Type.Object({}),
  result: SessionResult,
})

export const sessionsDelete = contract({
  name: 'sessions.delete',
  summary: 'Removes a session with its messages; `CONFLICT` while its lane has work (abort it first).',
  scope: 'write',
  session: 'required',
  audited: true,
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
