import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Cursor, Id, NextCursor, PageLimit, Priority, Timestamp } from '../primitives.js'

const state = {
  sessionKey: Type.String(),
  waiting: Type.Integer({ minimum: 0 }),
  paused: Type.Boolean(),
  oldestAt: Type.Union([Timestamp, Type.Null()], {
    description: 'When the longest waiting event was accepted.',
  }),
  running: Type.Union([
    Type.Object({
      runId: Id,
      eventId: Id,
      agent: Type.String(),
      attempt: Type.Integer(),
      startedAt: Timestamp,
    }),
    Type.Null(),
  ]),
}

export const LaneState = Type.Object(state, { $id: 'Lane' })

/** An event in its lane, without its contents. */
const WaitingEvent = Type.Object(
  {
    id: Id,
    runId: Id,
    type: Type.String(),
    source: Type.String(),
    at: Timestamp,
    priority: Priority,
    position: Type.Integer({ minimum: 1, description: '1 is next, after what runs.' }),
  },
  { $id: 'WaitingEvent' },
)

export const lanesList = contract({
  name: 'lanes.list',
  summary: 'The lanes that have work or are paused, longest waiting first.',
  scope: 'read',
  large: true,
  params: Type.Object({
    channel: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    running: Type.Optional(
      Type.Boolean({ description: 'Only those in which a run has begun, or none has.' }),
    ),
    paused: Type.Optional(Type.Boolean({ description: 'Only those that are paused, or that are not.' })),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({
    lanes: Type.Array(LaneState),
    total: Type.Integer({ minimum: 0, description: 'Lanes that fit, on all pages.' }),
    nextCursor: NextCursor,
  }),
})

export const lanesGet = contract({
  name: 'lanes.get',
  summary:
    'One session’s lane: what runs, since when, and page by page what waits behind it. An idle one has nothing of it.',
  scope: 'read',
  session: 'required',
  params: Type.Object({ limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({
    ...state,
    events: Type.Array(WaitingEvent, { description: 'What waits, in the order in which it will run.' }),
    nextCursor: NextCursor,
  }),
})

export const lanesPause = contract({
  name: 'lanes.pause',
  summary: 'Lets the running event end and starts no other until `lanes.resume`; survives a restart.',
  scope: 'admin',
  session: 'required',
  params: Type.Object({}),
  result: LaneState,
})

export const lanesResume = contract({
  name: 'lanes.resume',
  summary: 'Lets a paused lane go on.',
  scope: 'admin',
  session: 'required',
  params: Type.Object({}),
  result: LaneState,
})
