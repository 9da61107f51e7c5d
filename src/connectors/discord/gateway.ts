import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { WebSocket } from 'ws'
import { GatewayError } from '../../protocol/errors.js'
import { closeError, reasonOf } from './errors.js'
import { Session } from './session.js'

/** What is asked for are messages; the largest events, of whole servers, are not. */
const MAX_PAYLOAD_BYTES = 16_777_216
/** How long a closing handshake may take. */
const CLOSE_TIMEOUT_MS = 1_000
/** Of a code of our own, so that the session can be resumed, as it cannot after 1000 or 1001. */
const CLOSE_CODE = 4900

/** https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-opcodes */
const DISPATCH = 0
const HEARTBEAT = 1
const IDENTIFY = 2
const RESUME = 6
const RECONNECT = 7
const INVALID_SESSION = 9
const HELLO = 10
const HEARTBEAT_ACK = 11

/** Of these the next connection has to begin anew. */
const SESSION_ENDS = new Set([1000, 1001, 4003, 4007, 4009])

const Payload = Type.Object({
  op: Type.Integer(),
  d: Type.Optional(Type.Unknown()),
  s: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
  t: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})
type Payload = Static<typeof Payload>

const Hello = Type.Object({ heartbeat_interval: Type.Number({ minimum: 1 }) })

const Ready = Type.Object({
  session_id: Type.String(),
  resume_gateway_url: Type.String(),
  user: Type.Object({ id: Type.String(), username: Type.String() }),
})

export interface GatewayOptions {
  readonly url: string
  readonly token: string
  readonly intents: number
  /** Resumed where there is one. */
  readonly session: Session | null
  onReady(session: Session): void
  /** Resolves once Discord need not send the event again. */
  onEvent(type: string, data: unknown, session: Session): Promise<void>
  /** The session is over. */
  onSessionEnd(): void
}

/**
 * One connection to Discord's gateway, from hello to close. @discordjs/ws is not used, because it connects again by itself,
 * without end or backoff, and acknowledges what it received instead of what was taken.
 * https://discord.com/developers/docs/events/gateway
 */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #socket: WebSocket
  readonly #ended: Promise<void>
  #end!: (error?: GatewayError) => void
  #session: Session | null
  #timer: NodeJS.Timeout | undefined
  #acknowledged = true

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#session = options.session
    this.#session?.rewind()
    this.#ended = new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.#socket = new WebSocket(new URL('?v=10&encoding=json', options.url), {
      perMessageDeflate: false,
      maxPayload: MAX_PAYLOAD_BYTES,
    })
    this.#socket.on('message', (data, isBinary) => {
      if (!isBinary) this.#read(String(data))
    })
    this.#socket.on('error', (error) =>
      this.#lost(`Discord cannot be reached: opening a socket (${reasonOf(error)}).`),
    )
    this.#socket.on('close', (code) => this.#closed(code))
  }

  /** Rejects when the connection is lost; resolves when `signal` aborts. Either way it is closed then. */
  async hold(signal: AbortSignal): Promise<void> {
    const stop = () => this.#end()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      await this.#ended
    } finally {
      signal.removeEventListener('abort', stop)
      clearTimeout(this.#timer)
      await this.#close()
    }
  }

  #lost(message: string): void {
    this.#end(new GatewayError('UNAVAILABLE', message))
  }

  #closed(code: number): void {
    if (SESSION_ENDS.has(code)) this.#options.onSessionEnd()
    this.#end(closeError(code))
  }

  #read(text: string): void {
    let payload: unknown
    try {
      payload = JSON.parse(text)
    } catch {
      return
    }
    if (Value.Check(Payload, payload)) this.#handle(payload)
  }

  #handle({ op, d, s, t }: Payload): void {
    switch (op) {
      case HELLO:
        if (Value.Check(Hello, d)) this.#hello(d.heartbeat_interval)
        break
      case DISPATCH:
        if (typeof s === 'number' && typeof t === 'string') this.#dispatch(t, d, s)
        break
      case HEARTBEAT:
        this.#heartbeat()
        break
      case HEARTBEAT_ACK:
        this.#acknowledged = true
        break
      case RECONNECT:
        this.#lost('Discord asked to connect again.')
        break
      case INVALID_SESSION:
        if (d !== true) this.#options.onSessionEnd()
        this.#lost('Discord ended the session.')
    }
  }

  #hello(intervalMs: number): void {
    const { token, intents } = this.#options
    // With jitter, as the documentation asks.
    this.#beat(intervalMs * Math.random(), intervalMs)
    if (this.#session === null) {
      const properties = { os: process.platform, browser: 'lurkbot-gateway', device: 'lurkbot-gateway' }
      this.#send(IDENTIFY, { token, intents, properties })
    } else {
      this.#send(RESUME, { token, session_id: this.#session.id, seq: this.#session.handled })
    }
  }

  #beat(delayMs: number, intervalMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (!this.#acknowledged) return this.#lost('Discord stopped answering.')
      this.#acknowledged = false
      this.#heartbeat()
      this.#beat(intervalMs, intervalMs)
    }, delayMs)
  }

  #heartbeat(): void {
    this.#send(HEARTBEAT, this.#session?.handled ?? null)
  }

  #dispatch(type: string, data: unknown, seq: number): void {
    if (type === 'READY' && Value.Check(Ready, data)) {
      const me = { id: data.user.id, name: data.user.username }
      const url = URL.canParse(data.resume_gateway_url) ? data.resume_gateway_url : this.#options.url
      this.#session = new Session(data.session_id, url, me, seq)
      this.#options.onReady(this.#session)
      return
    }
    const session = this.#session
    if (session === null) return
    if (type === 'RESUMED') this.#options.onReady(session)
    session.begin(seq)
    this.#options.onEvent(type, data, session).then(
      () => session.end(seq),
      // It comes again when the session is resumed.
      () => this.#lost('A message could not be taken over.'),
    )
  }

  #send(op: number, d: unknown): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ op, d }))
  }

  async #close(): Promise<void> {
    this.#socket.removeAllListeners('message')
    if (this.#socket.readyState === WebSocket.CLOSED) return
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    const force = setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS)
    this.#socket.close(CLOSE_CODE)
    await closed
    clearTimeout(force)
  }
}
