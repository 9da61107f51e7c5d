import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** https://docs.slack.dev/reference/objects/file-object */
const SlackFile = Type.Object({
  name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  mimetype: Type.Optional(Type.String()),
  size: Type.Optional(Type.Number()),
  url_private: Type.Optional(Type.String()),
  permalink: Type.Optional(Type.String()),
})
export type SlackFile = Static<typeof SlackFile>

/** What is read of a `message` or `app_mention` event: https://docs.slack.dev/reference/events/message */
const SlackMessage = Type.Object({
  type: Type.Union([Type.Literal('message'), Type.Literal('app_mention')]),
  subtype: Type.Optional(Type.String()),
  channel: Type.String({ minLength: 1 }),
  channel_type: Type.Optional(Type.String()),
  user: Type.String({ minLength: 1 }),
  bot_id: Type.Optional(Type.String()),
  text: Type.Optional(Type.String()),
  ts: Type.String({ pattern: '^\\d+\\.\\d+$' }),
  thread_ts: Type.Optional(Type.String()),
  parent_user_id: Type.Optional(Type.String()),
  files: Type.Optional(Type.Array(SlackFile)),
})
export type SlackMessage = Static<typeof SlackMessage>

/** Of the subtypes these are someone's words; the others tell of edits, joins and the like. */
const SPOKEN = new Set([undefined, 'file_share', 'thread_broadcast', 'me_message'])

/** The message in the body of an `events_api` envelope; null: it is none that a person wrote. */
export function personsMessage(body: unknown, botUserId: string): SlackMessage | null {
  const { event } = Object(body) as { event?: unknown }
  if (!Value.Check(SlackMessage, event)) return null
  const ours = event.user === botUserId || event.bot_id !== undefined
  return ours || !SPOKEN.has(event.subtype) ? null : event
}
