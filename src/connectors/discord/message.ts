import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

const StringOrNull = Type.Union([Type.String(), Type.Null()])

const User = Type.Object({
  id: Type.String({ minLength: 1 }),
  username: Type.String(),
  global_name: Type.Optional(StringOrNull),
  bot: Type.Optional(Type.Boolean()),
})
type User = Static<typeof User>

const File = Type.Object({
  filename: Type.String(),
  content_type: Type.Optional(StringOrNull),
  size: Type.Number(),
  url: Type.String(),
})
export type DiscordFile = Static<typeof File>

/** What is read of a message: https://discord.com/developers/docs/resources/message#message-object */
const DiscordMessage = Type.Object({
  id: Type.String({ minLength: 1 }),
  channel_id: Type.String({ minLength: 1 }),
  guild_id: Type.Optional(Type.String()),
  author: User,
  member: Type.Optional(Type.Object({ nick: Type.Optional(StringOrNull) })),
  webhook_id: Type.Optional(Type.String()),
  type: Type.Integer(),
  content: Type.String(),
  timestamp: Type.String(),
  mentions: Type.Array(User),
  attachments: Type.Array(File),
  referenced_message: Type.Optional(Type.Union([Type.Object({ author: User }), Type.Null()])),
})
export type DiscordMessage = Static<typeof DiscordMessage>

/** Of the types these are someone's words: a message and a reply. */
const SPOKEN = new Set([0, 19])

/** The message in a MESSAGE_CREATE; null: it is none that a person wrote. */
export function personsMessage(data: unknown, me: string): DiscordMessage | null {
  if (!Value.Check(DiscordMessage, data)) return null
  const { author, webhook_id, type } = data
  const machine = author.id === me || author.bot === true || webhook_id !== undefined
  return machine || !SPOKEN.has(type) ? null : data
}

export function nameOf({ global_name, username }: User): string {
  return global_name || username
}

const MENTION = /<@!?(\d+)>/g

/** Without the mention of us, the others by name; custom emoji by name. Markdown stays as it is. */
export function plainText({ content, mentions }: DiscordMessage, me: string): string {
  const names = new Map(mentions.map((user) => [user.id, nameOf(user)]))
  const cut = content.replace(MENTION, (mention, id: string) => (id === me ? '' : mention))
  return (cut === content ? content : cut.replace(/^\s*[:,]/, '').trim())
    .replace(MENTION, (mention, id: string) => (names.has(id) ? `@${names.get(id)}` : mention))
    .replace(/<a?(:\w+:)\d+>/g, '$1')
}
