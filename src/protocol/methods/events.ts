import { Type } from '@sinclair/typebox'
import { Accepted } from '../accepted.js'
import { contract } from '../contract.js'
import { EventPattern } from '../frames.js'
import { IdempotencyKey, JsonObject, Priority, SessionKey } from '../primitives.js'

const selection = {
  patterns: Type.Optional(
    Type.Array(EventPattern, { minItems: 1, maxItems: 64, description: 'Default: `*`.' }),
  ),
  sessionKeys: Type.Optional(
    Type.Array(SessionKey, {
      minItems: 1,
      maxItems: 256,
      description: 'Only these sessions; default: all that may be seen.',
    }),
  ),
}

const Subscriptions = Type.Object({
  subscriptions: Type.Array(
    Type.Object({
      patterns: Type.Array(Type.String()),
      sessionKeys: Type.Union([Type.Array(Type.String()), Type.Null()]),
    }),
    { description: 'What this connection receives now; several add up.' },
  ),
})

export const eventsSubscribe = contract({
  name: 'events.subscribe',
  summary:
    'Chooses which events this connection receives. The first call replaces the initial “everything”; later ones add to it.',
  scope: 'read',
  params: Type.Object(selection),
  result: Subscriptions,
})

export const eventsUnsubscribe = contract({
  name: 'events.unsubscribe',
  summary: 'Takes back a subscription with the same patterns and keys; with no parameters, all of them.',
  scope: 'read',
  params: Type.Object(selection),
  result: Subscriptions,
})

/** What a sender hears once its event is on disk. */
export const eventsPublish = contract({
  name: 'events.publish',
  summary: 'Puts an inbound event into a session’s lane; answers once it is on disk.',
  scope: 'write',
  session: 'required',
  params: Type.Object({
    type: Type.String({ minLength: 1, maxLength: 128 }),
    source: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        pattern: '^(?!(cron|hook)$)',
        description:
          'Where it comes from. Default: `ws`; that of a channel of this gateway needs scope `admin`, `cron` and `hook` are the gateway’s own.',
      }),
    ),
    payload: JsonObject,
    priority: Type.Optional(Priority),
    idempotencyKey: Type.Optional(IdempotencyKey),
  }),
  result: Accepted,
})
