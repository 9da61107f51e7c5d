import type { Static } from '@sinclair/typebox'
import type { Attachment } from '../../protocol/index.js'
import type { IncomingMessage, Inlet } from '../connector.js'
import { download } from '../download.js'
import { type DiscordFile, type DiscordMessage, nameOf, plainText } from './message.js'

/** As many as a message may have in the journal; Discord has ten. */
const MAX_FILES = 32
const FILE_TIMEOUT_MS = 15_000

export interface IncomingOptions {
  /** The longest attachment, in bytes. */
  readonly maxBytes: number
}

/** What comes in, translated and handed over in its order. */
export class Incoming {
  readonly #options: IncomingOptions
  readonly #inlet: Inlet

  constructor(options: IncomingOptions, inlet: Inlet) {
    this.#options = options
    this.#inlet = inlet
  }

  /** Resolves once Discord need not send the message again. */
  async take(message: DiscordMessage, me: string): Promise<void> {
    await this.#inlet.receive(this.#translate(message, me))
  }

  #translate(message: DiscordMessage, me: string): IncomingMessage {
    const { id, channel_id, guild_id, author, member, mentions, referenced_message, timestamp } = message
    const group = guild_id !== undefined
    const named = mentions.some((user) => user.id === me) || referenced_message?.author.id === me
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
      ...(message.attachments.length > 0 && { files: (signal: AbortSignal) => this.#files(message, signal) }),
      ...(Number.isFinite(at) && { at }),
      ...(group && { metadata: { guildId: guild_id } }),
    }
  }

  async #files({ attachments }: DiscordMessage, signal: AbortSignal) {
    const files: Static<typeof Attachment>[] = []
    // One after the other: a message is to cost a bounded memory more than it holds.
    for (const file of attachments.slice(0, MAX_FILES)) files.push(await this.#file(file, signal))
    return { attachments: files }
  }

  /** With its content where that can be had, else with a link that Discord lets expire. */
  async #file(
    { filename, content_type, size, url }: DiscordFile,
    signal: AbortSignal,
  ): Promise<Static<typeof Attachment>> {
    const { maxBytes } = this.#options
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
