import type {
  Capabilities,
  Connector,
  ConnectorFactoryContext,
  Inlet,
  OutgoingPart,
  Sent,
  Target,
} from '../connector.js'
import { Recent } from '../recent.js'
import { createApi, type SlackApi } from './api.js'
import { slackError } from './errors.js'
import { personsMessage } from './event.js'
import { Incoming, threadId } from './incoming.js'
import type { SlackOptions, SlackTokens } from './options.js'
import { Outgoing } from './outgoing.js'
import { type Envelope, holdSocket } from './socket.js'

/** Threads in which we have spoken; in one that is forgotten, and has no session, we have to be named again. */
const MAX_JOINED = 10_000

export class SlackConnector implements Connector {
  readonly type = 'slack'
  readonly capabilities: Capabilities
  readonly unset: string | undefined
  readonly #options: SlackOptions
  readonly #tokens: SlackTokens
  readonly #context: ConnectorFactoryContext
  readonly #api: SlackApi
  readonly #outgoing: Outgoing
  readonly #joined = new Recent<true>(MAX_JOINED)

  constructor(options: SlackOptions, tokens: SlackTokens, context: ConnectorFactoryContext) {
    this.unset = tokens.unset
    this.#options = options
    this.#tokens = tokens
    this.#context = context
    this.#api = createApi(tokens.bot, options.apiUrl)
    this.#outgoing = new Outgoing(this.#api, options.format)
    this.capabilities = {
      // What chat.update takes as `text`, and what chat.postMessage recommends:
      // https://docs.slack.dev/reference/methods/chat.update#errors
      maxLength: 4_000,
      lengthOf: (text) => this.#outgoing.render(text).length,
      threads: true,
      attachments: true,
      // Slack's `client_msg_id` is for its own clients: https://github.com/slackapi/java-slack-sdk/issues/852
      idempotent: false,
      // Slack takes every message that begins with a slash for one of its own commands.
      commandPrefix: '!',
      // chat.update: 50 calls a minute.
      previewIntervalMs: 1_200,
      trusted: false,
    }
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const until = AbortSignal.any([signal, stop.signal])
    try {
      const me = await this.#whoAmI(until)
      const incoming = new Incoming(
        {
          api: this.#api,
          apiUrl: this.#options.apiUrl,
          botToken: this.#tokens.bot,
          botUserId: me.id,
          threads: this.#options.threads,
          joined: this.#joined,
          maxBytes: this.#context.maxAttachmentBytes,
          signal: until,
        },
        inlet,
      )
      await holdSocket(
        {
          appToken: this.#tokens.app,
          apiUrl: this.#options.apiUrl,
          onConnected: () => inlet.connected(me.name),
          onEnvelope: (envelope) => void this.#take(envelope, incoming, me.id),
        },
        until,
      )
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      stop.abort()
    }
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    const sent = await this.#outgoing.send(part, signal)
    if (part.target.thread !== null) this.#joined.set(threadId(part.target), true)
    return sent
  }

  preview(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    return this.#outgoing.preview(target, runId, text, signal)
  }

  discard(_target: Target, runId: string, signal: AbortSignal): Promise<void> {
    return this.#outgoing.discard(runId, signal)
  }

  async #whoAmI(signal: AbortSignal): Promise<{ id: string; name: string }> {
    try {
      const { user_id, user, team } = await this.#api(signal).auth.test()
      return { id: user_id!, name: `@${user}${team ? ` (${team})` : ''}` }
    } catch (error) {
      throw slackError(error, 'signing in with the bot token')
    }
  }

  /** Acknowledges what the gateway has taken, or what is nothing for it; Slack sends the rest again. */
  async #take({ type, body, ack }: Envelope, incoming: Incoming, botUserId: string): Promise<void> {
    try {
      const message = type === 'events_api' ? personsMessage(body, botUserId) : null
      if (message !== null) await incoming.take(message)
      await ack()
    } catch (err) {
      this.#context.log.debug({ err }, 'message left to be sent again by Slack')
    }
  }
}
