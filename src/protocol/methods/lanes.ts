import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Id, PageLimit, Timestamp } from '../primitives.js'

export const LaneState = Type.Object(
  {
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
  },
  { $id: 'Lane' },
)

export const lanesList = contract({
  name: 'lanes.list',
  summary: 'The lanes that have work or are paused, longest waiting first.',
  scope: 'read',
  params: Type.Object({ limit: Type.Optional(PageLimit) }),
  result: Type.Object({ lanes: Type.Array(LaneState), total: Type.Integer({ minimum: 0 }) }),
})

export const lanesGet = contract({
  name: 'lanes.get',
  summary: 'One session’s lane; an idle one has nothing waiting and nothing running.',
  scope: 'read',
  session: 'required',
  params: Type.Object({}),
  result: LaneState,
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
