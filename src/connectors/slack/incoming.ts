import type { IncomingMessage, Inlet, Received, Target } from '../connector.js'
import { InOrder } from '../in-order.js'
import type { Recent } from '../recent.js'
import type { SlackApi } from './api.js'
import type { SlackMessage } from './event.js'
import { type FetchFileOptions, fetchFile } from './files.js'
import { toPlain, usersIn, withoutMention } from './mrkdwn.js'
import { UserNames } from './users.js'

/** Slack sends again, three times in all, what is not acknowledged. */
const MAX_WAITING = 1_000
/** As many as a message may have in the journal. */
const MAX_FILES = 32
const MAX_NAMES = 50

export interface IncomingOptions extends FetchFileOptions {
  readonly api: SlackApi
  readonly botUserId: string
  readonly threads: boolean
  /** The threads in which we have spoken, of those that have no session. */
  readonly joined: Recent<true>
}

/** What comes in over one connection: translated, and handed over in its order. */
export class Incoming {
  readonly #options: IncomingOptions
  readonly #inlet: Inlet
  readonly #order = new InOrder(MAX_WAITING)
  readonly #names = new UserNames()
  /** A mention comes twice, as `message` and as `app_mention`; and what takes long comes again. */
  readonly #inHand = new Map<string, Promise<Received>>()

  constructor(options: IncomingOptions, inlet: Inlet) {
    this.#options = options
    this.#inlet = inlet
  }

  /** Resolves once Slack may forget the message. */
  take(message: SlackMessage): Promise<Received> {
    const id = `${message.channel}:${message.ts}`
    const twin = this.#inHand.get(id)
    if (twin !== undefined) return twin
    const received = this.#order
      .run(
        message.channel,
        () => this.#translate(message),
        (translated) => this.#inlet.receive(translated),
      )
      .finally(() => this.#inHand.delete(id))
    this.#inHand.set(id, received)
    return received
  }

  async #translate(message: SlackMessage): Promise<IncomingMessage> {
    const { botUserId } = this.#options
    const { channel, channel_type, user, ts } = message
    const group = channel_type === undefined ? !channel.startsWith('D') : channel_type !== 'im'
    const thread = this.#threadOf(message, group)
    const { text: written = '' } = message
    const text = withoutMention(written, botUserId)
    const mentioned =
      message.type === 'app_mention' ||
      text !== written ||
      message.parent_user_id === botUserId ||
      (group && thread !== null && thread !== ts && (await this.#isJoined({ peer: channel, thread })))
    return {
      peer: channel,
      thread,
      id: ts,
      sender: { id: user },
      group,
      mentioned: group && mentioned,
      text: toPlain(text, (user) => user),
      names: (signal: AbortSignal) => this.#named(user, text, signal),
      ...(message.files?.length && { files: (signal: AbortSignal) => this.#files(message, signal) }),
      at: Math.floor(Number(ts) * 1000),
      ...(channel_type !== undefined && { metadata: { channelType: channel_type } }),
    }
  }

  #threadOf({ ts, thread_ts }: SlackMessage, group: boolean): string | null {
    if (thread_ts !== undefined && thread_ts !== ts) return thread_ts
    return group && this.#options.threads ? ts : null
  }

  async #isJoined(target: Target): Promise<boolean> {
    return this.#options.joined.has(threadId(target)) || (await this.#inlet.knows(target))
  }

  async #named(sender: string, text: string, signal: AbortSignal) {
    const users = [sender, ...usersIn(text).slice(0, MAX_NAMES)]
    const api = this.#options.api(signal)
    const names = new Map(
      await Promise.all(users.map(async (user) => [user, await this.#names.nameOf(user, api)] as const)),
    )
    return {
      sender: { id: sender, name: names.get(sender)! },
      text: toPlain(text, (user) => names.get(user) ?? user),
    }
  }

  async #files({ files = [] }: SlackMessage, signal: AbortSignal) {
    const attachments = []
    // One after the other: a message is to cost a bounded memory more than it holds.
    for (const file of files.slice(0, MAX_FILES)) {
      attachments.push(await fetchFile(file, { ...this.#options, signal }))
    }
    return { attachments }
  }
}

export function threadId({ peer, thread }: Target): string {
  return `${peer}:${thread}`
}
