import { type Static, Type } from '@sinclair/typebox'
import { Id, JsonObject, Seq, Timestamp, traceFields } from './primitives.js'

/** The type of an event that is a person's message: it is part of the conversation. */
export const MESSAGE_RECEIVED = 'message.received'

/**
 * What comes in (spec §3): one thing to handle, in one session. `id`, `runId` and `seq` are given by the journal when it
 * accepts the event and never change.
 */
export const InboundEvent = Type.Object(
  {
    id: Id,
    runId: Id,
    seq: Seq,
    type: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'Such as `message.received`, `user.command`, `system.heartbeat`.',
    }),
    source: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'The connector, `ws`, `http`, `cron` or `hook`.',
    }),
    sessionKey: Type.String(),
    at: Timestamp,
    payload: JsonObject,
    priority: Type.Union([Type.Literal('chat'), Type.Literal('system'), Type.Literal('cron')]),
    idempotencyKey: Type.Optional(Type.String()),
    ...traceFields,
  },
  { $id: 'InboundEvent' },
)
export type InboundEvent = Static<typeof InboundEvent>
