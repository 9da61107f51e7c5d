import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { ClientInfo } from '../frames.js'
import { Cursor, Id, NextCursor, PageLimit, Timestamp } from '../primitives.js'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

export const ConnectionInfo = Type.Object(
  {
    connId: Type.String({ description: 'As `server.connId` of its `hello-ok`.' }),
    state: Type.String({ description: '`open` once its hello was accepted.' }),
    principal: nullable('The name of its token; null before its hello was accepted.'),
    role: nullable('Null like `principal`.'),
    client: Type.Union([ClientInfo, Type.Null()], { description: 'As its hello says.' }),
    address: Type.String({ description: 'Where it comes from; behind a trusted proxy what that one says.' }),
    since: Timestamp,
    framesIn: count('Messages that it has sent.'),
    framesOut: count('Messages that were sent to it.'),
    bufferedBytes: count('What it has not read yet; at most `policy.maxBufferedBytes` of events.'),
    inFlight: count('Its unanswered requests.'),
    subscriptions: count('What it has subscribed to; 0: no events.'),
    worker: Type.Boolean({ description: 'Its hello said that it takes runs.' }),
  },
  { $id: 'Connection' },
)

export const connectionsList = contract({
  name: 'connections.list',
  summary: 'The connections of this gateway, longest connected first.',
  scope: 'admin',
  large: true,
  params: Type.Object({
    principal: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Only those of this token.' }),
    ),
    worker: Type.Optional(Type.Boolean({ description: 'Only those that take runs, or that do not.' })),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({
    connections: Type.Array(ConnectionInfo),
    total: count('Connections in all, whatever was asked for.'),
    nextCursor: NextCursor,
  }),
})

export const connectionsClose = contract({
  name: 'connections.close',
  summary:
    'Closes a connection with 4411, which tells its client to stay away; its credentials stay good. What it has sent and was accepted goes on.',
  scope: 'admin',
  params: Type.Object({
    connId: Id,
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 120, description: 'The client sees it as the close reason.' }),
    ),
  }),
  result: Type.Object({ closed: Type.Literal(true) }),
})
