import { API } from '@discordjs/core/http-only'
import { REST } from '@discordjs/rest'
import { abortable } from '../../agents/abort.js'
import { GatewayError } from '../../protocol/errors.js'
import type {
  Capabilities,
  Connector,
  ConnectorFactoryContext,
  Inlet,
  OutgoingPart,
  Sent,
  Target,
} from '../connector.js'
import { discordError } from './errors.js'
import { Gateway } from './gateway.js'
import { Incoming } from './incoming.js'
import { personsMessage } from './message.js'
import { type DiscordOptions, intentBits, token as tokenOption } from './options.js'
import { MAX_LENGTH, Outgoing } from './outgoing.js'
import type { Session } from './session.js'

/** Tries to resume a session; then one begins anew. */
const MAX_RESUMES = 3
/** How long one call may take. */
const CALL_TIMEOUT_MS = 20_000

export class DiscordConnector implements Connector {
  readonly type = 'discord'
  readonly capabilities: Capabilities = {
    maxLength: MAX_LENGTH,
    threads: false,
    attachments: true,
    // `enforce_nonce` holds for a few minutes.
    idempotent: true,
    typingIntervalMs: 8_000,
    previewIntervalMs: 1_200,
    trusted: false,
  }
  readonly unset: string | undefined
  readonly #options: DiscordOptions
  readonly #token: string
  readonly #context: ConnectorFactoryContext
  readonly #rest: REST
  readonly #api: API
  readonly #outgoing: Outgoing
  /** Of the last connection, resumed by the next. */
  #session: Session | null = null
  /** Tries to resume it since it held. */
  #resumes = 0

  constructor(options: DiscordOptions, context: ConnectorFactoryContext) {
    const token = tokenOption.read(options, context.env) ?? ''
    this.unset = tokenOption.unset(options, context.env)
    this.#options = options
    this.#token = token
    this.#context = context
    // Retries and waits are the gateway's.
    this.#rest = new REST({
      version: '10',
      api: options.apiUrl.replace(/\/+$/, ''),
      retries: 0,
      rejectOnRateLimit: () => true,
      timeout: CALL_TIMEOUT_MS,
    })
    this.#api = new API(this.#rest)
    this.#outgoing = new Outgoing(() => {
      // The library forgets the token when it is refused once.
      this.#rest.setToken(token)
      return this.#api
    })
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const until = AbortSignal.any([signal, stop.signal])
    const incoming = new Incoming({ maxBytes: this.#context.maxAttachmentBytes }, inlet)
    try {
      const url = await this.#url(until)
      if (signal.aborted) return
      const gateway = new Gateway({
        url,
        token: this.#token,
        intents: intentBits(this.#options),
        session: this.#session,
        onReady: (session) => {
          this.#session = session
          this.#resumes = 0
          inlet.connected(`@${session.me.name}`)
        },
        onEvent: async (type, data, { me }) => {
          const message = type === 'MESSAGE_CREATE' ? personsMessage(data, me.id) : null
          if (message !== null) await incoming.take(message, me.id)
        },
        onSessionEnd: () => {
          this.#session = null
        },
      })
      await gateway.hold(until)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      stop.abort()
    }
  }

  send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    return this.#outgoing.send(part, signal)
  }

  typing(target: Target, signal: AbortSignal): Promise<void> {
    return this.#outgoing.typing(target, signal)
  }

  preview(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    return this.#outgoing.preview(target, runId, text, signal)
  }

  discard(_target: Target, runId: string, signal: AbortSignal): Promise<void> {
    return this.#outgoing.discard(runId, signal)
  }

  async close(): Promise<void> {
    this.#rest.clearHashSweeper()
    this.#rest.clearHandlerSweeper()
  }

  /**
   * Where to connect to. After a first failure Discord itself has to answer before it is held against the session: an outage
   * costs no session, a server of theirs that is gone for good does.
   */
  async #url(signal: AbortSignal): Promise<string> {
    if (this.#session !== null && this.#resumes === 0) {
      this.#resumes = 1
      return this.#session.url
    }
    const { url, session_start_limit: limit } = await this.#ask(signal)
    if (this.#session !== null && this.#resumes < MAX_RESUMES) {
      this.#resumes++
      return this.#session.url
    }
    this.#session = null
    if (limit.remaining > 0) return url
    // Discord resets the token of a bot that goes on.
    throw new GatewayError('RATE_LIMITED', 'The bot has connected to Discord too often today.', {
      retryAfterMs: limit.reset_after,
    })
  }

  async #ask(signal: AbortSignal) {
    this.#rest.setToken(this.#token)
    try {
      return await abortable(this.#api.gateway.getBot({ signal }), signal)
    } catch (error) {
      throw discordError(error, 'signing in')
    }
  }
}
