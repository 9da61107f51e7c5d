import type { Static } from '@sinclair/typebox'
import type { Attachment } from '../../protocol/index.js'
import type { IncomingMessage, Inlet } from '../connector.js'
import { download } from '../download.js'
import { InOrder } from '../in-order.js'
import { type DiscordFile, type DiscordMessage, nameOf, plainText } from './message.js'

/** More end the connection; they come again when it is resumed. */
const MAX_WAITING = 1_000
/** As many as a message may have in the journal; Discord has ten. */
const MAX_FILES = 32
const FILE_TIMEOUT_MS = 15_000

export interface IncomingOptions {
  /** The longest attachment, in bytes. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** What comes in over one connection: translated, and handed over in its order. */
export class Incoming {
  readonly #options: IncomingOptions
  readonly #inlet: Inlet
  readonly #order = new InOrder(MAX_WAITING)

  constructor(options: IncomingOptions, inlet: Inlet) {
    this.#options = options
    this.#inlet = inlet
  }

  /** Resolves once Discord need not send the message again. */
  async take(message: DiscordMessage, me: string): Promise<void> {
    await this.#order.run(
      message.channel_id,
      () => this.#translate(message, me),
      (translated) => this.#inlet.receive(translated),
    )
  }

  async #translate(message: DiscordMessage, me: string): Promise<IncomingMessage> {
    const { id, channel_id, guild_id, author, member, mentions, referenced_message, timestamp } = message
    const group = guild_id !== undefined
    const named = mentions.some((user) => user.id === me) || referenced_message?.author.id === me
    const attachments = await this.#files(message)
    const at = Date.parse(timestamp)
    return {
      // A thread is a channel of its own on Discord.
      peer: channel_id,
      thread: null,
      id,
      sender: { id: author.id, name: member?.nick || nameOf(author) },
      group,
      mentioned: group && named,
      text: plainText(message, me),
      ...(attachments.length > 0 && { attachments }),
      ...(Number.isFinite(at) && { at }),
      ...(group && { metadata: { guildId: guild_id } }),
    }
  }

  async #files({ attachments }: DiscordMessage): Promise<Static<typeof Attachment>[]> {
    const files = []
    // One after the other: a message is to cost a bounded memory more than it holds.
    for (const file of attachments.slice(0, MAX_FILES)) files.push(await this.#file(file))
    return files
  }

  /** With its content where that can be had, else with a link that Discord lets expire. */
  async #file({ filename, content_type, size, url }: DiscordFile): Promise<Static<typeof Attachment>> {
    const { maxBytes, signal } = this.#options
    const attachment = {
      type: content_type?.slice(0, 128) || 'application/octet-stream',
      name: filename.slice(0, 256),
    }
    try {
      if (size > maxBytes) throw new Error('too long')
      const { bytes } = await download(new URL(url), { maxBytes, timeoutMs: FILE_TIMEOUT_MS, signal })
      return { ...attachment, data: bytes.toString('base64') }
    } catch {
      return url.length > 4096 ? attachment : { ...attachment, url }
    }
  }
}
