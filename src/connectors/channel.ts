import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/schema.js'
import type { Log } from '../log.js'
import {
  type ChannelState,
  type ChannelStatus,
  type ErrorShape,
  GatewayError,
  toErrorShape,
} from '../protocol/index.js'
import { Turns } from '../sessions/turns.js'
import { Attempt } from './attempt.js'
import type {
  EndpointAnswer,
  EndpointRequest,
  IncomingMessage,
  OutgoingPart,
  Received,
  Sent,
  Target,
} from './connector.js'
import { shapeOfFailure, textOfFailure } from './failure.js'
import type { ConnectorEntry } from './registry.js'
import { splitMessage } from './split.js'

export interface ChannelOptions {
  readonly entry: ConnectorEntry
  readonly config: Pick<Config['channels'], 'reconnect' | 'stopGraceMs'>
  readonly log: Log
  /** Takes what comes in, until the signal aborts. */
  readonly receive: (message: IncomingMessage, signal: AbortSignal) => Promise<Received>
  /** Whether there is a session of it. */
  readonly knows: (target: Target) => Promise<boolean>
  /** Deliveries that wait for it. */
  readonly pending: () => number
  readonly onStatus: (status: ChannelStatus) => void
}

const DEFAULT_CONCURRENCY = 4
/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2_147_483_647
/** Failures of an outage that are told apart; some texts are never the same. */
const MAX_TOLD = 16
/** Connections that a connector may have left behind before it is not asked for another one. */
const MAX_ABANDONED = 3

/** One running connector: connects it, again and again with growing patience, until it is stopped or it makes no sense. */
export class Channel {
  readonly entry: ConnectorEntry
  /** Attempts after the first of each start; only grows. */
  reconnects = 0
  readonly #options: ChannelOptions
  #state: ChannelState = 'stopped'
  #since = Date.now()
  #identity: string | null = null
  #error: ErrorShape | null = null
  /** What this connection lacks, as its connector says. */
  #trouble: ErrorShape | null = null
  /** Why the platform has refused the newest part for good; null: it took that, or none was sent yet. */
  #refusal: ErrorShape | null = null
  #retryInMs: number | undefined
  /** Null: it is stopped, has failed, or is about to be stopped. */
  #control: AbortController | null = null
  #running: Promise<void> = Promise.resolve()
  #attempt: Attempt | null = null
  #wake: (() => void) | null = null
  #abandoned = 0
  #closed: Promise<void> | null = null
  /** The failures that were told since a connection held: the same again is no news, nor are two that take turns. */
  readonly #told = new Set<string>()
  #toldConnected = false
  /** What is shown of each run until its answer is sent: one thing after the other. */
  readonly previews = new Turns()

  constructor(options: ChannelOptions) {
    this.#options = options
    this.entry = options.entry
  }

  get name(): string {
    return this.entry.channel
  }

  /** Peers that are sent to at the same time. */
  get concurrency(): number {
    return this.entry.connector.capabilities.concurrency ?? DEFAULT_CONCURRENCY
  }

  /** Whether parts can be sent. */
  get ready(): boolean {
    return this.#state === 'connected' && this.#attempt?.over === false
  }

  status(): ChannelStatus {
    const { name, channel, type } = this.entry
    return {
      channel,
      connector: name,
      type,
      state: this.#state,
      since: this.#since,
      identity: this.#identity,
      error: this.#error ?? this.#trouble ?? this.#refusal,
      ...(this.#retryInMs === undefined ? {} : { retryInMs: this.#retryInMs }),
      pending: this.#options.pending(),
    }
  }

  /** Twice is fine; one that waits for its next attempt makes it now. @throws `UNAVAILABLE` once it is closed. */
  start(): void {
    if (this.#closed !== null) throw new GatewayError('UNAVAILABLE', 'The gateway is stopping.')
    if (this.#control !== null) {
      this.#wake?.()
      return
    }
    const control = new AbortController()
    this.#control = control
    this.#told.clear()
    this.#running = this.#running.then(async () => {
      await this.#run(control.signal)
      if (this.#control === control) this.#control = null
    })
  }

  /** Resolves when the connection is closed, or is left behind. Twice is fine. */
  async stop(): Promise<void> {
    this.#control?.abort()
    this.#control = null
    await this.#running
    if (this.#state === 'failed') this.#become('stopped')
  }

  /** The connector is not used any more. Twice is fine. */
  close(): Promise<void> {
    this.#closed ??= this.stop().then(() => this.entry.connector.close?.())
    return this.#closed
  }

  /** The parts that the platform takes as one message each. */
  split(text: string): string[] {
    const { capabilities } = this.entry.connector
    return splitMessage(text, capabilities.maxLength, (part) => capabilities.lengthOf?.(part) ?? part.length)
  }

  /**
   * Sends a part, after what may still be on its way of the same run's previews.
   * @throws `UNAVAILABLE` while it is not connected, or what the connector throws.
   */
  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    if (part.runId !== null) await this.previews.end(part.runId)
    if (!this.ready) throw new GatewayError('UNAVAILABLE', 'The channel is not connected.')
    const attempt = this.#attempt
    try {
      const sent = await this.entry.connector.send(part, signal)
      if (this.ready) this.#show(this.#trouble, null)
      return sent
    } catch (error) {
      if (!(error instanceof GatewayError) || error.retryable || signal.aborted) throw error
      if (error.code === 'UNAUTHORIZED') {
        // The message is not to blame: it waits until the channel is let in again.
        attempt?.fail(error)
        throw new GatewayError('UNAVAILABLE', 'The platform refuses the credentials.', { cause: error })
      }
      if (this.ready) this.#show(this.#trouble, toErrorShape(error))
      throw error
    }
  }

  /** A request of the platform. @throws `NOT_FOUND` where it has nothing to call, `UNAVAILABLE` while it does not listen. */
  async endpoint(request: EndpointRequest): Promise<EndpointAnswer> {
    const { connector } = this.entry
    if (connector.endpoint === undefined) throw new GatewayError('NOT_FOUND', 'There is no such endpoint.')
    const attempt = this.#attempt
    if (attempt === null || attempt.over) {
      throw new GatewayError('UNAVAILABLE', 'The channel is not listening.')
    }
    return connector.endpoint(request, attempt)
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      if (failures > 0) this.reconnects++
      this.#become('connecting')
      const { error, heldMs } = await this.#connect(signal)
      if (signal.aborted) break
      if (heldMs !== null && heldMs >= this.#options.config.reconnect.stableAfterMs) {
        failures = 0
        this.#told.clear()
      }
      this.#error = shapeOfFailure(error)
      if (!this.#error.retryable) {
        this.#become('failed', error)
        return
      }
      this.#retryInMs = this.#backoffMs(failures++)
      this.#become('waiting', error)
      await this.#pause(this.#retryInMs, signal)
      this.#retryInMs = undefined
    }
    this.#error = null
    this.#become('stopped')
  }

  /** One connection, from its beginning to its end. */
  async #connect(signal: AbortSignal): Promise<{ error: unknown; heldMs: number | null }> {
    const { entry, config, receive, knows } = this.#options
    if (this.#abandoned >= MAX_ABANDONED) {
      const message = `The connector did not end ${MAX_ABANDONED} connections when it was told to; restart the gateway.`
      return { error: new GatewayError('UNAVAILABLE', message, { retryable: false }), heldMs: null }
    }
    if (entry.connector.unset !== undefined) {
      const message = `The variable ${entry.connector.unset} is not set.`
      return { error: new GatewayError('NOT_LINKED', message), heldMs: null }
    }
    const attempt = new Attempt({
      connectTimeoutMs: config.reconnect.connectTimeoutMs,
      graceMs: config.stopGraceMs,
      receive,
      knows,
      onTroubled: (error) => this.#show(error && toErrorShape(error), this.#refusal),
      onConnected: (identity) => {
        this.#error = null
        if (identity !== null) this.#identity = identity
        this.#become('connected')
      },
      onAbandoned: (ended) => {
        this.#abandoned++
        ended.then(() => this.#abandoned--)
        this.#options.log.error({ channel: this.name }, 'a connector ignores its signal and is left behind')
      },
    })
    this.#attempt = attempt
    const error = await attempt.run(entry.connector, signal)
    this.#attempt = null
    this.#trouble = null
    this.#refusal = null
    return { error, heldMs: attempt.heldMs }
  }

  /** Full jitter above half: spread, yet never at once. A platform that says when wins. */
  #backoffMs(failures: number): number {
    const { backoffMs, maxBackoffMs } = this.#options.config.reconnect
    const ceiling = Math.min(backoffMs * 2 ** Math.min(failures, 30), maxBackoffMs)
    const jittered = Math.round(ceiling / 2 + (Math.random() * ceiling) / 2)
    return Math.min(Math.max(jittered, this.#error?.retryAfterMs ?? 0), MAX_TIMEOUT_MS)
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const control = new AbortController()
    const wake = () => control.abort()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    await sleep(ms, undefined, { signal: control.signal }).catch(() => {})
    signal.removeEventListener('abort', wake)
    this.#wake = null
  }

  /** What does not work of a connection is a change of its status, which says the same only once. */
  #show(trouble: ErrorShape | null, refusal: ErrorShape | null): void {
    const before = this.status().error
    this.#trouble = trouble
    this.#refusal = refusal
    const { error } = this.status()
    const isNews = error?.code !== before?.code || error?.message !== before?.message
    if (isNews && this.#state === 'connected') this.#options.onStatus(this.status())
  }

  #become(state: ChannelState, failure?: unknown): void {
    this.#state = state
    this.#since = Date.now()
    this.#log(failure)
    this.#options.onStatus(this.status())
  }

  /** One line a change; a failure that comes again and again, and what is between, is told once. */
  #log(failure: unknown): void {
    const { log } = this.#options
    const fields = { channel: this.name, connector: this.entry.name }
    if (this.#state === 'waiting' || this.#state === 'failed') {
      const cause = textOfFailure(failure)
      const kind = `${this.#state} ${this.#error!.code} ${cause.replace(/\d+/g, '#')}`
      const repeated = this.#told.has(kind)
      const level = repeated ? 'debug' : this.#state === 'failed' ? 'error' : 'warn'
      const { code } = this.#error!
      log[level]({ ...fields, code, cause, retryInMs: this.#retryInMs }, `channel ${this.#state}`)
      if (repeated) return
      if (this.#told.size >= MAX_TOLD) this.#told.clear()
      this.#told.add(kind)
      this.#toldConnected = false
    } else if (this.#state === 'connected') {
      const repeated = this.#toldConnected && this.#told.size > 0
      log[repeated ? 'debug' : 'info']({ ...fields, identity: this.#identity }, 'channel connected')
      this.#toldConnected = true
    } else {
      log[this.#state === 'connecting' ? 'debug' : 'info'](fields, `channel ${this.#state}`)
    }
  }
}
