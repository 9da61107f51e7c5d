import { Type } from '@sinclair/typebox'
import { Accepted } from '../accepted.js'
import { contract } from '../contract.js'
import { ErrorShape } from '../errors.js'
import { InboundEvent } from '../events.js'
import { Cursor, Id, NextCursor, PageLimit, Timestamp } from '../primitives.js'

export const DeadLetter = Type.Object(
  {
    event: InboundEvent,
    error: ErrorShape,
    attempts: Type.Integer({ minimum: 0 }),
    diedAt: Timestamp,
    mergedInto: Type.Union([Id, Type.Null()], {
      description: 'The run that handled the event together with its own, and failed.',
    }),
  },
  { $id: 'DeadLetter' },
)

export const deadLettersList = contract({
  name: 'deadLetters.list',
  summary: 'Events whose handling failed for good, oldest first; with a session key only that session’s.',
  scope: 'read',
  session: 'optional',
  large: true,
  params: Type.Object({ limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({ deadLetters: Type.Array(DeadLetter), nextCursor: NextCursor }),
})

export const deadLettersRetry = contract({
  name: 'deadLetters.retry',
  summary: 'Puts a dead letter at the end of its lane again, with its first ids.',
  scope: 'write',
  audited: true,
  params: Type.Object({ eventId: Id }),
  result: Accepted,
})

export const deadLettersDiscard = contract({
  name: 'deadLetters.discard',
  summary: 'Forgets a dead letter.',
  scope: 'write',
  audited: true,
  params: Type.Object({ eventId: Id }),
  result: Type.Object({ discarded: Type.Literal(true) }),
})
