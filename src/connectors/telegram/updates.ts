import { setTimeout as sleep } from 'node:timers/promises'
import type { Update } from 'grammy/types'
import { abortable } from '../../agents/abort.js'
import { GatewayError } from '../../protocol/errors.js'
import type { ConnectorFactoryContext, IncomingMessage, Inlet } from '../connector.js'
import type { Client } from './client.js'
import { type FileOf, takeFile } from './files.js'
import { peerOf, type Understood, understand } from './incoming.js'
import type { Bot } from './mentions.js'
import type { TelegramOptions } from './options.js'

/** What Telegram tells the bot, on its way to the gateway. */
export class Updates {
  /** The kinds that Telegram is asked for. */
  readonly kinds: ('message' | 'edited_message')[]
  readonly #client: Client
  readonly #options: TelegramOptions
  readonly #context: ConnectorFactoryContext
  /** The first update that is not done. */
  #offset = 0

  constructor(client: Client, options: TelegramOptions, context: ConnectorFactoryContext) {
    this.#client = client
    this.#options = options
    this.#context = context
    this.kinds = options.edits === 'message' ? ['message', 'edited_message'] : ['message']
  }

  async poll(bot: Bot, inlet: Inlet, signal: AbortSignal): Promise<void> {
    const { pollTimeoutS: timeout, pollPauseMs } = this.#options
    while (!signal.aborted) {
      const more = { offset: this.#offset, timeout, allowed_updates: this.kinds }
      const updates = await this.#client.api.getUpdates(more, signal)
      await abortable(this.#takeAll(updates, bot, inlet, signal), signal)
      if (updates.length === 0) await sleep(pollPauseMs, undefined, { signal })
    }
  }

  /** Chats side by side, each in order. The offset passes what is done: to ask for the next one acknowledges those before. */
  async #takeAll(updates: Update[], bot: Bot, inlet: Inlet, signal: AbortSignal): Promise<void> {
    const last = new Map<number, Promise<void>>()
    const turns = updates.map((update) => {
      const before = last.get(peerOf(update)) ?? Promise.resolve()
      const turn = before.then(() => this.take(update, bot, inlet, signal))
      last.set(peerOf(update), turn)
      return turn
    })
    for (const [index, outcome] of (await Promise.allSettled(turns)).entries()) {
      if (outcome.status === 'rejected') throw outcome.reason
      this.#offset = updates[index]!.update_id + 1
    }
  }

  /** Rejects when the update has to come again. */
  async take(update: Update, bot: Bot, inlet: Inlet, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const understood = this.#understand(update, bot)
    if (understood === null) return
    try {
      await inlet.receive(this.#withFile(understood))
    } catch (cause) {
      throw new GatewayError('UNAVAILABLE', 'A message could not be taken; Telegram will give it again.', {
        cause,
      })
    }
  }

  #understand(update: Update, bot: Bot): Understood | null {
    const { log } = this.#context
    const { chat, migrate_to_chat_id: id } = update.message ?? {}
    if (id !== undefined) log.info({ from: chat?.id, to: id }, 'a Telegram group has become a supergroup')
    // A webhook that was set before may still bring some.
    if (update.edited_message !== undefined && this.#options.edits === 'ignore') return null
    try {
      return understand(update, bot)
    } catch (err) {
      // It would come again and again.
      log.warn({ err, updateId: update.update_id }, 'an update of Telegram cannot be read')
      return null
    }
  }

  #withFile({ message, file }: Understood): IncomingMessage {
    return file === null ? message : { ...message, files: (signal) => this.#fetch(file, message, signal) }
  }

  async #fetch(file: FileOf, message: IncomingMessage, signal: AbortSignal) {
    const { log, maxAttachmentBytes: maxBytes } = this.#context
    const { downloadTimeoutMs: timeoutMs } = this.#options
    const { attachment, missing } = await takeFile(
      file,
      { client: this.#client, maxBytes, timeoutMs, log },
      signal,
    )
    const metadata = missing === null ? message.metadata : { ...message.metadata, missing }
    return { attachments: [attachment], metadata }
  }
}
