import { createHash } from 'node:crypto'
import type { API } from '@discordjs/core/http-only'
import { DiscordAPIError, type RawFile } from '@discordjs/rest'
import { abortable } from '../../agents/abort.js'
import type { OutgoingPart, Sent, Target } from '../connector.js'
import { Recent } from '../recent.js'
import { discordError, UNKNOWN_MESSAGE } from './errors.js'

/** Discord's own limit of a message. */
export const MAX_LENGTH = 2_000
/** Runs whose preview is remembered; one that is not stays as it is. */
const MAX_PREVIEWS = 1_000
/** No text of an agent wakes a whole server. */
const NO_PINGS = { parse: [] }

interface Shown {
  readonly channel: string
  readonly id: string
}

/** What is said on Discord: messages, their previews, files, and that someone is typing. */
export class Outgoing {
  readonly #api: () => API
  readonly #previews = new Recent<Shown>(MAX_PREVIEWS)

  constructor(api: () => API) {
    this.#api = api
  }

  send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    return this.#call('sending a message', signal, async () => {
      const messages = pack(part)
      const preview = part.part === 1 && part.runId !== null ? this.#previews.get(part.runId) : undefined
      let messageId: string | null = null
      for (const [i, content] of messages.entries()) {
        const files = i === messages.length - 1 ? filesOf(part) : []
        const edited =
          i === 0 &&
          preview !== undefined &&
          files.length === 0 &&
          (await this.#edit(preview, content, signal))
        const id = edited ? preview.id : await this.#post(part, content, i, files, signal)
        messageId ??= id
      }
      if (preview !== undefined) await this.#settle(part.runId!, messageId === preview.id, signal)
      return { messageId }
    })
  }

  preview(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    return this.#call('showing a preview', signal, async () => {
      const shown = this.#previews.get(runId)
      if (shown !== undefined) {
        await this.#edit(shown, text, signal)
        return
      }
      const body = { content: text, allowed_mentions: NO_PINGS }
      const { id } = await this.#api().channels.createMessage(target.peer, body, { signal })
      this.#previews.set(runId, { channel: target.peer, id })
    })
  }

  discard(runId: string, signal: AbortSignal): Promise<void> {
    return this.#call('removing a preview', signal, async () => {
      const shown = this.#previews.get(runId)
      this.#previews.delete(runId)
      if (shown !== undefined) await this.#api().channels.deleteMessage(shown.channel, shown.id, { signal })
    })
  }

  typing(target: Target, signal: AbortSignal): Promise<void> {
    return this.#call('typing', signal, () => this.#api().channels.showTyping(target.peer, { signal }))
  }

  async #post(
    part: OutgoingPart,
    content: string,
    i: number,
    files: RawFile[],
    signal: AbortSignal,
  ): Promise<string> {
    const { target, replyTo, idempotencyKey } = part
    const body = {
      content,
      nonce: nonceOf(`${idempotencyKey}:${i}`),
      enforce_nonce: true,
      allowed_mentions: NO_PINGS,
      ...(files.length > 0 && { files }),
      ...(replyTo !== null &&
        part.part === 1 &&
        i === 0 && { message_reference: { message_id: replyTo, fail_if_not_exists: false } }),
    }
    const { id } = await this.#api().channels.createMessage(target.peer, body, { signal })
    return id
  }

  /** False: the message is no longer there. */
  async #edit({ channel, id }: Shown, content: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#api().channels.editMessage(channel, id, { content, allowed_mentions: NO_PINGS }, { signal })
      return true
    } catch (error) {
      if (error instanceof DiscordAPIError && error.code === UNKNOWN_MESSAGE) return false
      throw error
    }
  }

  /** The preview has become the answer, or makes way for it. */
  async #settle(runId: string, edited: boolean, signal: AbortSignal): Promise<void> {
    if (edited) this.#previews.delete(runId)
    else await this.discard(runId, signal).catch(() => {})
  }

  async #call<T>(what: string, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    try {
      // The library may wait in a queue that knows no signal.
      return await abortable(call(), signal)
    } catch (error) {
      // One that was stopped can be tried again.
      throw discordError(signal.aborted ? new Error('stopped') : error, what)
    }
  }
}

/** At most 25 characters, and unique for a few minutes: https://discord.com/developers/docs/resources/message#create-message */
function nonceOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 25)
}

function filesOf({ attachments }: OutgoingPart): RawFile[] {
  return attachments.flatMap(({ name, type, data }, i) =>
    data === undefined
      ? []
      : [{ name: name ?? `file${i + 1}`, contentType: type, data: Buffer.from(data, 'base64') }],
  )
}

/** The text, and the attachments that are links as lines after it, in as few messages as possible. */
function pack({ text, attachments }: OutgoingPart): string[] {
  const messages = [text]
  for (const { name, url, data } of attachments) {
    if (data !== undefined || url === undefined) continue
    const named = name === undefined ? url : `${name}: ${url}`
    const line = named.length <= MAX_LENGTH ? named : url
    // Discord can show no longer one.
    if (line.length > MAX_LENGTH) continue
    const joined = messages.at(-1) === '' ? line : `${messages.at(-1)}\n${line}`
    if (joined.length <= MAX_LENGTH) messages.splice(-1, 1, joined)
    else messages.push(line)
  }
  return messages
}
