import type { Static } from '@sinclair/typebox'
import { InputFile } from 'grammy'
import { type Attachment, GatewayError } from '../../protocol/index.js'
import type { Target } from '../connector.js'
import type { Client } from './client.js'
import { saidThat } from './errors.js'
import { fileName } from './files.js'
import { type Formatted, formatMarkdown } from './format.js'

/** The longest picture that is sent as such (core.telegram.org/bots/api#sendphoto); a longer one is a document. */
const MAX_PHOTO_BYTES = 10_000_000
const PHOTO = /^image\/(?:jpeg|png|webp)$/i

export type Edited = 'done' | 'gone'

/** Messages of the bot in chats and topics, by id. */
export class Messages {
  readonly #api: Client['api']
  readonly #format: (text: string) => Formatted

  constructor({ api }: Client, format: 'plain' | 'markdown') {
    this.#api = api
    this.#format = format === 'markdown' ? formatMarkdown : (text) => ({ text, entities: [] })
  }

  async write(target: Target, said: string, replyTo: string | null, signal: AbortSignal): Promise<number> {
    const { text, entities } = this.#format(said)
    const message = { ...placeOf(target), ...inReply(replyTo), text, entities }
    return (await this.#api.sendMessage(message, signal)).message_id
  }

  /** `gone`: somebody deleted the message, or it can no longer be edited. */
  async edit({ peer }: Target, messageId: number, said: string, signal: AbortSignal): Promise<Edited> {
    const { text, entities } = this.#format(said)
    try {
      await this.#api.editMessageText({ chat_id: peer, message_id: messageId, text, entities }, signal)
    } catch (error) {
      if (saidThat(error, /message to edit not found|message can't be edited|message_id_invalid/i))
        return 'gone'
      if (!saidThat(error, /message is not modified/i)) throw error
    }
    return 'done'
  }

  /** One that is not there is fine. */
  async remove({ peer }: Target, messageId: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#api.deleteMessage({ chat_id: peer, message_id: messageId }, signal)
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'INVALID_REQUEST')) throw error
    }
  }

  async typing(target: Target, signal: AbortSignal): Promise<void> {
    await this.#api.sendChatAction({ ...placeOf(target), action: 'typing' }, signal)
  }

  /** Null: there is nothing of it to send. */
  async file(target: Target, file: Static<typeof Attachment>, signal: AbortSignal): Promise<number | null> {
    const { data, url, type } = file
    if (data !== undefined) {
      const bytes = Buffer.from(data, 'base64')
      const upload = () => new InputFile(bytes, fileName(file))
      const document = () => this.#document(target, upload(), signal)
      if (!PHOTO.test(type) || bytes.length > MAX_PHOTO_BYTES) return await document()
      // Such as one that is too narrow.
      return await orElse(() => this.#photo(target, upload(), signal), document)
    }
    if (url === undefined) return null
    // Telegram fetches some types of files by their address; any other is a link to click.
    return await orElse(
      () => (PHOTO.test(type) ? this.#photo(target, url, signal) : this.#document(target, url, signal)),
      () => this.write(target, url, null, signal),
    )
  }

  async #photo(target: Target, photo: InputFile | string, signal: AbortSignal): Promise<number> {
    return (await this.#api.sendPhoto({ ...placeOf(target), photo }, signal)).message_id
  }

  async #document(target: Target, document: InputFile | string, signal: AbortSignal): Promise<number> {
    return (await this.#api.sendDocument({ ...placeOf(target), document }, signal)).message_id
  }
}

function placeOf({ peer, thread }: Target): { chat_id: string; message_thread_id?: number } {
  if (thread === null) return { chat_id: peer }
  if (/^\d{1,15}$/.test(thread)) return { chat_id: peer, message_thread_id: Number(thread) }
  throw new GatewayError('INVALID_REQUEST', 'The thread of a Telegram chat is the number of a topic.')
}

/** An edit's id begins with that of the message. */
function inReply(replyTo: string | null): object {
  if (replyTo === null) return {}
  const message_id = Number.parseInt(replyTo, 10)
  return { reply_parameters: { message_id, allow_sending_without_reply: true } }
}

async function orElse(first: () => Promise<number>, second: () => Promise<number>): Promise<number> {
  try {
    return await first()
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'INVALID_REQUEST') return await second()
    throw error
  }
}
