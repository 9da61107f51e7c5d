import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Principal } from '../auth/principal.js'
import type { Subscriber } from '../events/broadcaster.js'
import { CLOSE, type CloseReason } from '../protocol/close-codes.js'
import { GatewayError, toErrorShape } from '../protocol/errors.js'
import type { ClientInfo } from '../protocol/frames.js'
import type { ConnectionServices } from './connections.js'
import { isObject, readFrameId } from './inbound.js'
import { Outbox, type OutboxOwner, type SharedFrame } from './outbox.js'
import { RateBucket } from './rate-bucket.js'
import { RequestTable } from './requests.js'

/** `new`: no hello yet; `handshaking`: being let in; `open`; `closed`: nothing is read or written any more. */
export type ConnectionState = 'new' | 'handshaking' | 'open' | 'closed'

/** What the upgrade request said of the peer; forgotten once the hello is answered. */
export interface UpgradeInfo {
  readonly address: string
  /** The secret of `Authorization: Bearer` or the `bearer.` subprotocol. */
  readonly secret: string | null
  /** Why the credentials could not be read; refused at the hello. */
  readonly problem: GatewayError | null
}

const BAD_FRAMES = 20
const BAD_FRAMES_WINDOW_MS = 10_000

/** One WebSocket: reads frames, keeps the requests in flight, writes through a bounded outbox. */
export class Connection implements Subscriber, OutboxOwner {
  readonly outbox: Outbox
  readonly openedAt = Date.now()
  state: ConnectionState = 'new'
  client: ClientInfo | null = null
  upgrade: UpgradeInfo | null
  /** Pings since the peer last answered one. */
  unansweredPings = 0
  /** The initial “everything” was not yet replaced by a subscription of its own. */
  subscribedByDefault = true
  #principal: Principal | null = null
  #requests: RequestTable | null = null
  /** Frames that wait: for the handshake's end, or for the reader to take what was sent. */
  #held: string[] | null = null
  #helloTimer: NodeJS.Timeout | null
  #badFrames = 0
  #badFramesSince = 0
  #limited = 0
  readonly #bucket: RateBucket

  constructor(
    readonly id: string,
    readonly socket: WebSocket,
    stream: Duplex,
    upgrade: UpgradeInfo,
    readonly services: ConnectionServices,
  ) {
    const { connection, rateLimit } = services.config
    this.upgrade = upgrade
    this.outbox = new Outbox(stream, services.flusher, this, connection.maxBufferedBytes)
    this.#bucket = new RateBucket(rateLimit.frames.max, rateLimit.frames.windowMs)
    this.#helloTimer = setTimeout(() => {
      this.refuse(
        'HELLO_TIMEOUT',
        new GatewayError('UNAUTHORIZED', `No hello within ${connection.handshakeTimeoutMs} ms.`),
      )
    }, connection.handshakeTimeoutMs)
  }

  get principal(): Principal {
    return this.#principal!
  }

  get inFlight(): number {
    return this.#requests?.size ?? 0
  }

  /** A text or binary message has arrived. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.state === 'closed') return
    this.services.stats.framesReceived++
    if (isBinary) {
      this.close('BINARY')
      return
    }
    const waitMs = this.#bucket.take(Date.now())
    const text = data.toString()
    if (waitMs > 0) this.#limit(text, waitMs)
    else if (this.#held !== null) this.#held.push(text)
    else this.#process(text)
  }

  sendEvent(frame: SharedFrame): void {
    this.outbox.sendShared(frame)
  }

  respond(id: string, result: unknown): void {
    const json = result === undefined ? 'null' : JSON.stringify(result)
    this.outbox.send(`{"id":${JSON.stringify(id)},"type":"response","result":${json},"error":null}`)
  }

  respondError(id: string | null, error: unknown): void {
    const shape = JSON.stringify(toErrorShape(error))
    this.outbox.send(`{"id":${JSON.stringify(id)},"type":"response","result":null,"error":${shape}}`)
  }

  /** Lets the peer in: from here on its requests are served. */
  open(principal: Principal, client: ClientInfo, helloOk: string): void {
    this.#principal = principal
    this.client = client
    this.upgrade = null
    this.state = 'open'
    this.outbox.send(helloOk)
  }

  /** Goes on with the frames that waited. */
  release(): void {
    const held = this.#held
    if (held === null || this.state !== 'open' || this.outbox.congested) return
    this.#held = null
    for (let i = 0; i < held.length; i++) {
      // What a frame sends may fill the outbox: the rest waits again.
      if (this.#held !== null) (this.#held as string[]).push(held[i]!)
      else this.#process(held[i]!)
    }
    if (this.#held === null) this.socket.resume()
  }

  /** Says why in a `hello-error`, then closes. */
  refuse(reason: CloseReason, error: GatewayError): void {
    this.outbox.send(`{"type":"hello-error","error":${JSON.stringify(toErrorShape(error))}}`)
    this.close(reason, error.message)
  }

  /** Ends the connection with a close code; twice is fine. */
  close(reason: CloseReason, message: string = CLOSE[reason].description): void {
    if (this.state === 'closed') return
    this.#finish()
    this.services.stats.closes[reason] = (this.services.stats.closes[reason] ?? 0) + 1
    // A close reason holds 123 bytes (RFC 6455 §5.5).
    this.socket.close(
      CLOSE[reason].code,
      Buffer.from(message)
        .subarray(0, 123)
        .toString()
        .replace(/\ufffd+$/, ''),
    )
    this.services.expectEnd(this)
  }

  /** The socket is gone. */
  ended(): void {
    if (this.state !== 'closed') this.#finish()
    this.services.forget(this)
  }

  onOverflow(): void {
    this.services.stats.slowConsumers++
    this.close('SLOW_CONSUMER')
  }

  /** While much is unread, nothing more is read: what the peer asks for would only add to it. */
  onCongestion(congested: boolean): void {
    if (this.state !== 'open') return
    if (congested) this.#hold()
    else this.release()
  }

  /** A frame that is not of the protocol: an error, and the connection lives on, unless they come in numbers. */
  bad(id: string | null, error: GatewayError): void {
    this.services.stats.framesBad++
    const now = Date.now()
    if (now - this.#badFramesSince > BAD_FRAMES_WINDOW_MS) {
      this.#badFramesSince = now
      this.#badFrames = 0
    }
    this.respondError(id, error)
    if (++this.#badFrames > BAD_FRAMES) this.close('PROTOCOL_ABUSE')
  }

  #hold(): void {
    this.#held ??= []
    this.socket.pause()
  }

  #process(text: string): void {
    if (this.state === 'closed') return
    let frame: unknown
    try {
      frame = JSON.parse(text)
    } catch {
      this.bad(
        null,
        new GatewayError('INVALID_REQUEST', 'frame: expected a JSON object, got text that is not JSON'),
      )
      return
    }
    if (!isObject(frame)) {
      this.bad(null, new GatewayError('INVALID_REQUEST', 'frame: expected a JSON object'))
      return
    }
    if (this.state === 'open') {
      if (frame.type === 'request') {
        this.#requests ??= new RequestTable(this)
        this.#requests.start(frame)
      } else if (frame.type === 'cancel') this.#cancel(frame)
      else if (frame.type === 'event') this.services.publish(this, frame)
      else this.#unexpected(frame)
    } else if (frame.type === 'hello') {
      this.#hello(frame)
    } else {
      this.bad(
        readFrameId(frame),
        new GatewayError('INVALID_REQUEST', 'type: expected hello as the first frame'),
      )
    }
  }

  #hello(frame: Record<string, unknown>): void {
    this.state = 'handshaking'
    clearTimeout(this.#helloTimer!)
    this.#helloTimer = null
    this.#hold()
    this.services.handshake(this, frame)
  }

  #cancel(frame: Record<string, unknown>): void {
    const id = readFrameId(frame)
    if (id === null)
      this.bad(null, new GatewayError('INVALID_REQUEST', 'id: expected the id of a request in flight'))
    else this.#requests?.cancel(id)
  }

  #unexpected(frame: Record<string, unknown>): void {
    const expected = frame.type === 'hello' ? 'one hello a connection' : 'request, event or cancel'
    this.bad(readFrameId(frame), new GatewayError('INVALID_REQUEST', `type: expected ${expected}`))
  }

  #limit(text: string, retryAfterMs: number): void {
    this.services.stats.framesLimited++
    const now = Date.now()
    if (now - this.#badFramesSince > BAD_FRAMES_WINDOW_MS) {
      this.#badFramesSince = now
      this.#badFrames = 0
      this.#limited = 0
    }
    if (++this.#limited > this.services.config.rateLimit.frames.max) {
      this.close('RATE_LIMITED')
      return
    }
    let id: string | null = null
    try {
      id = readFrameId(JSON.parse(text))
    } catch {}
    this.respondError(
      id,
      new GatewayError('RATE_LIMITED', 'Too many frames on this connection.', { retryAfterMs }),
    )
  }

  #finish(): void {
    this.state = 'closed'
    this.outbox.end()
    this.#held = null
    if (this.#helloTimer !== null) clearTimeout(this.#helloTimer)
    this.#helloTimer = null
    this.#requests?.abortAll()
    this.services.broadcaster.unsubscribe(this)
    this.upgrade = null
  }
}
