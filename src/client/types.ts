import type { Static, TSchema } from '@sinclair/typebox'
import type { Contract } from '../protocol/contract.js'
import type { GatewayError } from '../protocol/errors.js'
import type { EventName } from '../protocol/events.js'
import type { ClientInfo, EventFrame, HelloOkFrame, ResumePosition } from '../protocol/frames.js'
import type { JsonObject } from '../protocol/primitives.js'
import type { ReconnectPolicy } from './backoff.js'
import type { DeviceKey } from './device.js'
import type { EventOf } from './events.js'
import type { WebSocketConstructor } from './link.js'
import type { Listener } from './listeners.js'
import type { RequestOptions } from './requests.js'

export interface ClientOptions {
  /** `ws://` or `wss://`, with the path. A token does not belong in it: addresses end up in logs. */
  readonly url: string
  readonly token?: string
  /** In place of a token; `NOT_PAIRED` until an operator has approved it. */
  readonly device?: DeviceKey
  readonly client: ClientInfo
  /** What it can do besides; `agent` for one that takes runs (`createWorker`). */
  readonly caps?: readonly string[]
  /** Event patterns to receive. Default: everything that the token's scopes allow. */
  readonly subscribe?: readonly string[]
  /** `position` of an earlier client: its events go on from there. */
  readonly resume?: ResumePosition
  /** How to come back after a lost connection; false: not at all. */
  readonly reconnect?: Partial<ReconnectPolicy> | false
  /** Milliseconds. Default: 30000. */
  readonly requestTimeoutMs?: number
  /** Milliseconds from dialling to `hello-ok`. Default: 10000. */
  readonly connectTimeoutMs?: number
  /** Requests that may wait for a connection. Default: 256. */
  readonly maxWaiting?: number
  /** Default: the global one. Where there is none (Node 20) use `createNodeClient`. */
  readonly WebSocket?: WebSocketConstructor
}

export type ClientState =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting' }
  /** `resumed`: the events continue without a gap from those of the connection before. */
  | { readonly status: 'open'; readonly hello: HelloOkFrame; readonly resumed: boolean }
  /** The connection was lost; the next try comes after `delayMs`. */
  | {
      readonly status: 'waiting'
      readonly attempt: number
      readonly delayMs: number
      readonly error: GatewayError
    }
  /** For good: by `close()` (`error` is null), or because coming back would not help. */
  | { readonly status: 'closed'; readonly error: GatewayError | null }

/** A connection to a gateway that comes back by itself. Every failure is a `GatewayError`. */
export interface GatewayClient {
  readonly state: ClientState
  /** The last durable event that was seen; pass it as `resume` to a later client. Null before the first `hello-ok`. */
  readonly position: ResumePosition | null
  /** Resolves with why, when the client has ended for good; never rejects. */
  readonly closed: Promise<GatewayError | null>
  /**
   * Connects. A first try that fails rejects with its reason (`UNAVAILABLE`, `UNAUTHORIZED`, `RATE_LIMITED`, …) and may be
   * repeated; after that the client reconnects by itself until `close()` or until the gateway says that it is of no use.
   */
  connect(signal?: AbortSignal): Promise<HelloOkFrame>
  /**
   * Calls a method. While the connection is lost it waits for the next one, within its timeout. In flight when the
   * connection is lost, or refused because the gateway stops: sent again if `params` has an `idempotencyKey`, which makes
   * that harmless; otherwise it rejects with `UNAVAILABLE`, and may or may not have been executed.
   */
  request<P extends TSchema, R extends TSchema>(
    method: Contract<P, R>,
    params: Static<P>,
    options?: RequestOptions,
  ): Promise<Static<R>>
  request(method: string, params?: JsonObject, options?: RequestOptions): Promise<unknown>
  /**
   * Sends an event frame, which nothing answers. False: it was not sent, as there is no connection or it is too large.
   */
  emit(event: string, payload: JsonObject, sessionKey?: string): boolean
  /** Listens to an event, or `*` for all. Returns the function that ends it. */
  on<N extends EventName>(event: N, listener: Listener<EventOf<N>>): () => void
  on(event: string, listener: Listener<EventFrame>): () => void
  onStateChange(listener: Listener<ClientState>): () => void
  /** Ends the client; unanswered requests reject with `CANCELLED`. Closing twice is fine. */
  close(): void
}
