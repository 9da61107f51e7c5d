import { type Static, Type } from '@sinclair/typebox'

/** The protocol version that this gateway speaks. */
export const PROTOCOL_VERSION = 1

export const SESSION_KEY_MAX_LENGTH = 256

/**
 * Names a conversation, such as `telegram:123456789:main`: no blanks, no control characters, no half of a surrogate pair,
 * which UTF-8 cannot hold.
 */
export const SessionKey = Type.String({
  minLength: 1,
  maxLength: SESSION_KEY_MAX_LENGTH,
  pattern: '^(?:[^\\s\\u0000-\\u001f\\u007f\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])+$',
  description: 'A session key such as `telegram:123456789:main`.',
})

/** What the keys of the gateway's own events begin with (`ownKey`), and no client's. */
export const OWN_KEY_PREFIX = 'gateway:'

export const IdempotencyKey = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: `^(?!${OWN_KEY_PREFIX})`,
  expected: `a key of at most 128 characters that does not begin with ${OWN_KEY_PREFIX}`,
  description: `Makes a repeated send harmless: within 24 h the same key in the same session answers with the first one’s ids. Not \`${OWN_KEY_PREFIX}…\`.`,
})

export const Id = Type.String({ minLength: 1, maxLength: 128 })

export const Timestamp = Type.Integer({ minimum: 0, description: 'Milliseconds since 1970-01-01T00:00:00Z.' })

export const Seq = Type.Integer({ minimum: 0, description: 'Position in the journal.' })

/** The three classes of work in a lane, most urgent first (spec §3.3). */
export const PRIORITIES = ['chat', 'system', 'cron'] as const
export const Priority = Type.Union([Type.Literal('chat'), Type.Literal('system'), Type.Literal('cron')])
export type Priority = Static<typeof Priority>

/** What a message does that comes while its session's agent is at work. */
export const QUEUE_MODES = ['followup', 'collect', 'interrupt', 'steer'] as const
export const QueueMode = Type.Union(
  [Type.Literal('followup'), Type.Literal('collect'), Type.Literal('interrupt'), Type.Literal('steer')],
  {
    description:
      'What a message does that comes while the agent is at work: `followup` waits its turn, `collect` is handled ' +
      'together with what else waits, `interrupt` ends the run and takes its place, `steer` joins it.',
  },
)
export type QueueMode = Static<typeof QueueMode>

/** What frames and events say of the trace that they belong to. */
export const traceFields = {
  traceparent: Type.Optional(
    Type.String({ description: 'W3C Trace Context: the trace, and the span that this came from.' }),
  ),
  tracestate: Type.Optional(
    Type.String({ description: 'W3C Trace Context: what tracing systems add to `traceparent`.' }),
  ),
}

/** Free-form JSON object. */
export const JsonObject = Type.Record(Type.String(), Type.Unknown())
export type JsonObject = Static<typeof JsonObject>

/** A page of a list: `cursor` of the next page, or null at the end. */
export const NextCursor = Type.Union([Type.String(), Type.Null()], {
  description: 'Pass as `cursor` for the next page; null at the end.',
})
export const Cursor = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'The `nextCursor` of the page before.',
})
export const PageLimit = Type.Integer({ minimum: 1, maximum: 500, default: 50 })
