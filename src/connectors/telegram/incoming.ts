import type { Chat, Message, Update } from 'grammy/types'
import type { IncomingMessage } from '../connector.js'
import { type FileOf, fileOf } from './files.js'
import { addressed, type Bot, nameOf } from './mentions.js'

/** A message for the gateway, whose file is not downloaded yet. */
export interface Understood {
  readonly message: IncomingMessage
  readonly file: FileOf | null
}

/** What an update is for the gateway; null: nothing. */
export function understand(update: Update, bot: Bot): Understood | null {
  const message = update.message ?? update.edited_message
  if (message === undefined) return null
  const { chat, from, sender_chat: writer } = message
  // Two bots that answer each other would never end. Who writes as a group or channel comes under a bot's name, too.
  if (writer === undefined && (from === undefined || from.is_bot)) return null
  const sender = writer ?? from!
  const file = fileOf(message)
  const said = message.text ?? message.caption ?? message.sticker?.emoji ?? ''
  const to = addressed(said, message.entities ?? message.caption_entities ?? [], bot)
  if (to.forAnother || (said === '' && file === null)) return null
  return {
    file,
    message: {
      id: idOf(message),
      peer: String(chat.id),
      thread: threadOf(message),
      sender: { id: String(sender.id), name: writer === undefined ? nameOf(from!) : titleOf(writer) },
      group: chat.type !== 'private',
      mentioned: to.mentioned || answersBot(message, bot),
      text: to.text,
      at: (message.edit_date ?? message.date) * 1_000,
      metadata: metadataOf(message),
    },
  }
}

/** The chat, within which order counts; 0: there is none that can be read. */
export function peerOf(update: Update): number {
  return (update.message ?? update.edited_message)?.chat?.id ?? 0
}

/** Each edit counts as a message of its own. */
function idOf({ message_id: id, edit_date: edited }: Message): string {
  return edited === undefined ? String(id) : `${id}@${edited}`
}

/** Outside of topics, Telegram gives a chain of replies a thread id as well. */
function threadOf({ is_topic_message: inTopic, message_thread_id: thread }: Message): string | null {
  return inTopic && thread !== undefined ? String(thread) : null
}

/** In a topic, whatever answers nothing answers the service message that opened it. */
function answersBot({ reply_to_message: answered }: Message, bot: Bot): boolean {
  return answered?.from?.id === bot.id && answered.forum_topic_created === undefined
}

function titleOf(chat: Chat): string | undefined {
  return chat.title ?? chat.username
}

function metadataOf(message: Message): Record<string, unknown> {
  const { chat, from } = message
  const all = {
    messageId: message.message_id,
    chatType: chat.type,
    chatTitle: chat.type === 'private' ? undefined : chat.title,
    username: from?.username,
    language: from?.language_code,
    replyTo: message.reply_to_message?.message_id,
    album: message.media_group_id,
    edited: message.edit_date === undefined ? undefined : true,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}
