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

  send(part: OutgoingPart, given: AbortSignal): Promise<Sent> {
    return this.#call('sending a message', given, async (signal) => {
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

  preview(target: Target, runId: string, text: string, given: AbortSignal): Promise<void> {
    return this.#call('showing a preview', given, async (signal) => {
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

  discard(runId: string, given: AbortSignal): Promise<void> {
    return this.#call('removing a preview', given, async (signal) => {
      const shown = this.#previews.get(runId)
      if (shown === undefined) return
      this.#previews.delete(runId)
      await this.#api().channels.deleteMessage(shown.channel, shown.id, { signal }).catch(unlessGone)
    })
  }

  typing(target: Target, given: AbortSignal): Promise<void> {
    return this.#call('typing', given, (signal) => this.#api().channels.showTyping(target.peer, { signal }))
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
      ...nonce(`${idempotencyKey}:${i}`),
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
    const body = { content, allowed_mentions: NO_PINGS }
    const edited = await this.#api().channels.editMessage(channel, id, body, { signal }).catch(unlessGone)
    return edited !== undefined
  }

  /** The preview has become the answer, or makes way for it. */
  async #settle(runId: string, edited: boolean, signal: AbortSignal): Promise<void> {
    if (edited) this.#previews.delete(runId)
    else await this.discard(runId, signal).catch(() => {})
  }

  async #call<T>(what: string, given: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    // The library leaves its listeners on the signal that it gets: it gets one for this call alone.
    const stop = new AbortController()
    try {
      given.throwIfAborted()
      // The library may wait in a queue that knows no signal.
      return await abortable(call(stop.signal), given)
    } catch (error) {
      // One that was stopped can be tried again.
      throw discordError(given.aborted ? new Error('stopped') : error, what)
    } finally {
      stop.abort()
    }
  }
}

function unlessGone(error: unknown): undefined {
  if (!(error instanceof DiscordAPIError && error.code === UNKNOWN_MESSAGE)) throw error
}

/** At most 25 characters, and unique for a few minutes: https://discord.com/developers/docs/resources/message#create-message */
function nonce(key: string) {
  return { nonce: createHash('sha256').update(key).digest('base64url').slice(0, 25), enforce_nonce: true }
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
