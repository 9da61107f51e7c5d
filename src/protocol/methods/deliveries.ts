import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { ErrorShape } from '../errors.js'
import { Attachment } from '../events.js'
import { Cursor, Id, NextCursor, PageLimit, SessionKey, Timestamp } from '../primitives.js'

export const DeadDelivery = Type.Object(
  {
    deliveryId: Id,
    channel: Type.String(),
    peer: Type.String({ description: 'To whom, as the platform names them.' }),
    thread: Type.Union([Type.String(), Type.Null()]),
    sessionKey: SessionKey,
    at: Timestamp,
    text: Type.String(),
    attachments: Type.Array(Attachment),
    runId: Type.Union([Id, Type.Null()], { description: 'The run whose answer it is.' }),
    replyTo: Type.Union([Type.String(), Type.Null()], {
      description: 'The platform’s id of the message that it answers.',
    }),
    partsSent: Type.Integer({ minimum: 0, description: 'Parts that the platform took before it failed.' }),
    attempts: Type.Integer({ minimum: 0 }),
    error: ErrorShape,
    diedAt: Timestamp,
  },
  { $id: 'DeadDelivery' },
)

export const deliveriesList = contract({
  name: 'deliveries.list',
  summary:
    'What could not be delivered to a channel for good, in order; with a session key only that session’s.',
  scope: 'read',
  session: 'optional',
  large: true,
  params: Type.Object({
    channel: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({ deliveries: Type.Array(DeadDelivery), nextCursor: NextCursor }),
})

export const deliveriesRetry = contract({
  name: 'deliveries.retry',
  summary: 'Tries a dead delivery again, behind what waits for its peer, from the part that failed on.',
  scope: 'write',
  audited: true,
  params: Type.Object({ deliveryId: Id }),
  result: Type.Object({
    deliveryId: Id,
    queued: Type.Integer({ minimum: 0, description: 'Deliveries to the same peer that are ahead of it.' }),
  }),
})

export const deliveriesDiscard = contract({
  name: 'deliveries.discard',
  summary: 'Forgets a dead delivery.',
  scope: 'write',
  audited: true,
  params: Type.Object({ deliveryId: Id }),
  result: Type.Object({ discarded: Type.Literal(true) }),
})
