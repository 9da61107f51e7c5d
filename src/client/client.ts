import { CLOSE } from '../protocol/close-codes.js'
import type { Contract, ResultOf } from '../protocol/contract.js'
import { GatewayError } from '../protocol/errors.js'
import type { EventFrame, HelloFrame, HelloOkFrame, ResumePosition } from '../protocol/frames.js'
import type { eventsSubscribe } from '../protocol/methods/events.js'
import { type JsonObject, PROTOCOL_VERSION } from '../protocol/primitives.js'
import { backoffMs, type ReconnectPolicy } from './backoff.js'
import { prove } from './device.js'
import { EventHub } from './events.js'
import { startHeartbeat } from './heartbeat.js'
import { type Link, openLink, type WebSocketConstructor } from './link.js'
import { type Listener, Listeners } from './listeners.js'
import { type RequestOptions, Requests } from './requests.js'
import { Subscriptions } from './subscriptions.js'
import type { ClientOptions, ClientState, GatewayClient } from './types.js'

export type { ReconnectPolicy } from './backoff.js'
export { createWebKeyPair, type DeviceKey, type WebKeyPair, webDeviceKey } from './device.js'
export type { EventOf } from './events.js'
export type { WebSocketConstructor, WebSocketLike } from './link.js'
export type { Listener } from './listeners.js'
export type { RequestOptions } from './requests.js'
export type { ClientOptions, ClientState, GatewayClient } from './types.js'
export {
  createWorker,
  type Worker,
  type WorkerAnswer,
  type WorkerHandler,
  type WorkerTask,
} from './worker.js'

const RECONNECT: ReconnectPolicy = { minMs: 250, maxMs: 15_000, jitter: 0.5 }
const closedError = () => new GatewayError('CANCELLED', 'the client was closed')

export function createClient(options: ClientOptions): GatewayClient {
  return new Client(options)
}

const isRestart = ({ details }: GatewayError): boolean =>
  (details as { closeCode?: unknown } | null)?.closeCode === CLOSE.RESTARTING.code

interface Opening {
  readonly promise: Promise<HelloOkFrame>
  resolve(hello: HelloOkFrame): void
  reject(error: GatewayError): void
}

function createOpening(): Opening {
  let resolve!: Opening['resolve']
  let reject!: Opening['reject']
  const promise = new Promise<HelloOkFrame>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

class Client implements GatewayClient {
  readonly closed: Promise<GatewayError | null>
  readonly #options: ClientOptions
  readonly #WebSocket: WebSocketConstructor
  readonly #reconnect: ReconnectPolicy | null
  readonly #requests: Requests
  readonly #events: EventHub
  readonly #subscriptions: Subscriptions
  readonly #stateListeners = new Listeners<ClientState>()
  #state: ClientState = { status: 'idle' }
  #resolveClosed!: (error: GatewayError | null) => void
  #link: Link | null = null
  #opening: Opening = createOpening()
  #wasOpen = false
  #openedAt = 0
  #attempt = 0
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #stopHeartbeat: (() => void) | null = null
  /** While a new connection is being narrowed to what was subscribed. */
  #filter: ((frame: EventFrame) => boolean) | null = null

  constructor(options: ClientOptions) {
    const { protocol } = new URL(options.url)
    if (protocol !== 'ws:' && protocol !== 'wss:') {
      throw new TypeError(`url '${options.url}': expected ws:// or wss://`)
    }
    const Socket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
    if (Socket === undefined) throw new TypeError('there is no global WebSocket: pass one as `WebSocket`')
    this.#options = options
    this.#WebSocket = Socket
    this.#reconnect = options.reconnect === false ? null : { ...RECONNECT, ...options.reconnect }
    this.#requests = new Requests({ maxWaiting: options.maxWaiting ?? 256 })
    this.#events = new EventHub(options.resume ?? null)
    this.#subscriptions = new Subscriptions(options.subscribe)
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
  }

  get state(): ClientState {
    return this.#state
  }

  get position(): ResumePosition | null {
    return this.#events.position
  }

  async connect(signal?: AbortSignal): Promise<HelloOkFrame> {
    if (signal?.aborted) throw new GatewayError('CANCELLED', 'connecting was cancelled')
    const opening = this.#opening
    if (this.#state.status === 'idle') this.#dial()
    if (signal === undefined) return opening.promise
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const error = new GatewayError('CANCELLED', 'connecting was cancelled')
        if (!this.#wasOpen && opening === this.#opening) this.#giveUp(error)
        reject(error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      opening.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    })
  }

  async request(
    method: Contract | string,
    params: unknown = {},
    options: RequestOptions = {},
  ): Promise<unknown> {
    const name = typeof method === 'string' ? method : method.name
    const { status } = this.#state
    if (status === 'idle') throw new GatewayError('UNAVAILABLE', `${name}: connect first`)
    if (status === 'closed') throw this.#state.error ?? closedError()
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs ?? 30_000
    const result = await this.#requests.add(name, params as JsonObject, { ...options, timeoutMs })
    if (name === 'events.subscribe' || name === 'events.unsubscribe') {
      this.#subscriptions.update((result as ResultOf<typeof eventsSubscribe>).subscriptions)
    }
    return result
  }

  emit(event: string, payload: JsonObject, sessionKey?: string): boolean {
    return this.#requests.emit(event, payload, sessionKey)
  }

  on(event: string, listener: (frame: never) => void): () => void {
    return this.#events.on(event, listener as Listener<EventFrame>)
  }

  onStateChange(listener: (state: ClientState) => void): () => void {
    return this.#stateListeners.add(listener)
  }

  close(): void {
    if (this.#state.status !== 'closed') this.#end(null)
  }

  #dial(): void {
    this.#enter({ status: 'connecting' })
    const { url, token, device, client, caps, connectTimeoutMs = 10_000 } = this.#options
    const hello: HelloFrame = {
      type: 'hello',
      minProtocol: PROTOCOL_VERSION,
      maxProtocol: PROTOCOL_VERSION,
      client,
      ...(caps === undefined ? {} : { caps: [...caps] }),
      ...(device === undefined ? {} : { auth: { device: { publicKey: device.publicKey } } }),
      ...(token === undefined ? {} : { auth: { token } }),
      ...(this.position === null ? {} : { resume: this.position }),
    }
    const { patterns } = this.#subscriptions
    if (patterns !== undefined) hello.subscribe = patterns
    try {
      const link: Link = openLink({
        WebSocket: this.#WebSocket,
        url,
        hello,
        timeoutMs: connectTimeoutMs,
        ...(device === undefined ? {} : { prove: (challenge) => prove(device, client.id, challenge) }),
        onHello: (frame) => this.#welcome(link, frame),
        onFrame: (frame) => {
          if (frame.type === 'response') this.#requests.answer(frame)
          else this.#events.dispatch(frame, this.#filter)
        },
        onEnd: (error, reconnect) => this.#lost(error, reconnect),
      })
      this.#link = link
    } catch (cause) {
      // The constructor refuses an address at once, such as ws:// from a page that came over https.
      const message = `cannot connect to ${url}: ${cause instanceof Error ? cause.message : cause}`
      this.#lost(new GatewayError('INVALID_REQUEST', message, { cause }), false)
    }
  }

  #welcome(link: Link, hello: HelloOkFrame): void {
    this.#wasOpen = true
    this.#openedAt = performance.now()
    const resumed = this.#events.begin(hello.resume)
    this.#requests.connected((text) => link.send(text), hello.policy.maxPayloadBytes)
    this.#narrow(link)
    this.#requests.flush()
    this.#stopHeartbeat = startHeartbeat({
      intervalMs: hello.policy.heartbeatMs,
      received: () => link.received,
      ping: (timeoutMs) => this.#requests.add('gateway.ping', {}, { timeoutMs }),
      onSilence: () => link.fail(new GatewayError('UNAVAILABLE', 'the gateway does not answer')),
    })
    this.#opening.resolve(hello)
    this.#enter({ status: 'open', hello, resumed })
  }

  #narrow(link: Link): void {
    const { requests } = this.#subscriptions
    this.#filter = requests.length === 0 ? null : this.#subscriptions.filter()
    if (requests.length === 0) return
    const timeoutMs = this.#options.requestTimeoutMs ?? 30_000
    const answers = requests.map((params) => this.#requests.add('events.subscribe', params, { timeoutMs }))
    // Refused or unanswered: what is not wanted keeps being filtered here.
    Promise.all(answers).then(
      () => {
        if (this.#link === link) this.#filter = null
      },
      () => {},
    )
  }

  #lost(error: GatewayError, reconnect: boolean): void {
    this.#stopHeartbeat?.()
    this.#link = null
    if (!this.#wasOpen) this.#giveUp(error)
    else if (!reconnect || this.#reconnect === null) this.#end(error)
    else this.#retry(this.#reconnect, error)
  }

  #retry(policy: ReconnectPolicy, error: GatewayError): void {
    if (this.#state.status === 'open') this.#opening = createOpening()
    this.#requests.disconnected()
    // A connection that does not last is no success: otherwise a gateway that ends each at once would be asked without pause.
    // One that a restart ended says when it comes back: now.
    const lasted = this.#openedAt > 0 && performance.now() - this.#openedAt > policy.maxMs
    if (lasted || (this.#openedAt > 0 && isRestart(error))) this.#attempt = 0
    this.#openedAt = 0
    const attempt = ++this.#attempt
    const delayMs = Math.max(backoffMs(policy, attempt), error.retryAfterMs ?? 0)
    this.#retryTimer = setTimeout(() => this.#dial(), delayMs)
    this.#enter({ status: 'waiting', attempt, delayMs, error })
  }

  /** The first connection did not come about: back to the beginning. */
  #giveUp(error: GatewayError): void {
    this.#link?.close()
    this.#link = null
    this.#requests.rejectAll(error)
    this.#opening.reject(error)
    this.#opening = createOpening()
    this.#enter({ status: 'idle' })
  }

  #end(error: GatewayError | null): void {
    clearTimeout(this.#retryTimer)
    this.#stopHeartbeat?.()
    this.#link?.close()
    this.#link = null
    if (this.#state.status === 'open') this.#opening = createOpening()
    const reason = error ?? closedError()
    this.#requests.rejectAll(reason)
    this.#opening.reject(reason)
    this.#enter({ status: 'closed', error })
    this.#resolveClosed(error)
  }

  #enter(state: ClientState): void {
    this.#state = state
    this.#stateListeners.call(state)
  }
}
