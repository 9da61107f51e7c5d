import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Principal } from '../auth/principal.js'
import type { PrincipalUsage } from '../auth/usage.js'
import type { Subscriber } from '../events/broadcaster.js'
import { CLOSE, type CloseReason } from '../protocol/close-codes.js'
import { GatewayError } from '../protocol/errors.js'
import type { ClientInfo } from '../protocol/frames.js'
import type { ConnectionServices } from './connections.js'
import { Entrance } from './entrance.js'
import { FrameLimits } from './frame-limits.js'
import { readFrame, readFrameId, type UpgradeInfo } from './inbound.js'
import { errorText, helloErrorText, responseText } from './outbound.js'
import { Outbox, type OutboxOwner, type SharedFrame } from './outbox.js'
import { RequestTable } from './requests.js'
import { reasonOfFailure } from './ws-failures.js'

/**
 * `new`: no hello yet; `handshaking`: being let in; `challenged`: it has to prove who it is; `open`; `closed`: nothing is
 * read or written any more.
 */
export type ConnectionState = 'new' | 'handshaking' | 'challenged' | 'open' | 'closed'

/** One WebSocket: reads frames, keeps the requests in flight, writes through a bounded outbox. */
export class Connection implements Subscriber, OutboxOwner {
  readonly outbox: Outbox
  readonly openedAt = Date.now()
  state: ConnectionState = 'new'
  client: ClientInfo | null = null
  upgrade: UpgradeInfo | null
  readonly address: string
  /** Its place among all that ever were. */
  number = 0
  framesIn = 0
  /** Pings since the peer last showed that it lives. */
  unansweredPings = 0
  /** The initial “everything” was not yet replaced by a subscription of its own. */
  subscribedByDefault = true
  /** Its hello said that it takes runs. */
  isWorker = false
  /** What its principal uses on all of its connections; null: that is not limited. */
  usage: PrincipalUsage | null = null
  #principal: Principal | null = null
  #requests: RequestTable | null = null
  /** Frames that wait: for the handshake's end, or for the reader to take what was sent. */
  #held: string[] | null = null
  #onEnd: (() => void) | null = null
  /** Null once it is open. */
  #entrance: Entrance | null
  readonly #limits: FrameLimits

  constructor(
    readonly id: string,
    readonly socket: WebSocket,
    stream: Duplex,
    upgrade: UpgradeInfo,
    readonly services: ConnectionServices,
  ) {
    const { connection, rateLimit } = services.config
    this.upgrade = upgrade
    this.address = upgrade.address
    this.outbox = new Outbox(stream, services.flusher, this, connection.maxBufferedBytes)
    this.#limits = new FrameLimits(rateLimit.frames)
    this.#entrance = new Entrance(connection.handshakeTimeoutMs, (error) =>
      this.refuse('HELLO_TIMEOUT', error),
    )
  }

  get principal(): Principal {
    return this.#principal!
  }

  get inFlight(): number {
    return this.#requests?.size ?? 0
  }

  get hungUp(): boolean {
    return this.socket.readyState !== this.socket.OPEN
  }

  /** A text or binary message has arrived. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.state === 'closed') return
    this.services.stats.framesReceived++
    this.framesIn++
    if (isBinary) {
      this.close('BINARY')
      return
    }
    const waitMs = this.#limits.take(performance.now())
    if (waitMs > 0) this.#limit(data, waitMs)
    else this.#take(data.toString())
  }

  /** A ping has arrived. Whoever sends too many, or does not read, gets no answer. */
  pinged(data: Buffer): void {
    if (this.#admitControl() && !this.outbox.congested) this.socket.pong(data)
  }

  /** A pong has arrived, asked for or not: the peer lives. */
  ponged(): void {
    this.unansweredPings = 0
    this.#admitControl()
  }

  /** Other limits of its frames. */
  limitFrames(max: number, windowMs: number): void {
    this.#limits.change(max, windowMs)
  }

  /** There may be limits for its principal now: what it uses counts from here on. */
  joinUsage(): void {
    if (this.state !== 'open' || this.usage !== null) return
    this.usage = this.services.usages.join(this.principal)
    if (this.usage !== null) this.usage.inFlight += this.#requests?.size ?? 0
  }

  sendEvent(frame: SharedFrame): void {
    this.outbox.sendEvent(frame)
  }

  /** @throws where the result is not JSON. */
  respond(id: string, result: unknown): void {
    this.outbox.send(responseText(id, result))
  }

  respondError(id: string | null, error: unknown): void {
    this.outbox.send(errorText(id, error))
  }

  /** Lets the peer in: from here on its requests are served. */
  open(principal: Principal, client: ClientInfo, helloOk: string): void {
    this.#principal = principal
    this.services.opened(this)
    this.client = client
    this.upgrade = null
    this.#entrance = null
    this.state = 'open'
    this.outbox.send(helloOk)
  }

  /** Sends a challenge; the next frame has to be its `hello-proof`. Not settled when the connection ends before. */
  challenge(text: string): Promise<Record<string, unknown>> {
    this.state = 'challenged'
    this.outbox.send(text)
    const proof = this.#entrance!.awaitProof()
    this.#takeHeld()
    return proof
  }

  /** Whom to tell when nothing is read or written any more; one listener at most. */
  onEnd(listener: () => void): void {
    this.#onEnd = listener
  }

  /** Goes on with the frames that waited. */
  release(): void {
    if (this.state === 'open' && !this.outbox.congested) this.#takeHeld()
  }

  /** Says why in a `hello-error`, then closes. */
  refuse(reason: CloseReason, error: GatewayError): void {
    if (this.state === 'closed') return
    this.services.onRefused(reason)
    this.outbox.send(helloErrorText(error))
    this.close(reason, error.message)
  }

  /** Ends the connection with a close code; twice is fine. `ws` destroys the socket of a peer that does not answer. */
  close(reason: CloseReason, message: string = CLOSE[reason].description): void {
    if (this.state === 'closed') return
    this.#finish(reason)
    // A close reason holds 123 bytes (RFC 6455 §5.5).
    const bytes = Buffer.from(message).subarray(0, 123).toString()
    this.socket.close(CLOSE[reason].code, bytes.replace(/\ufffd+$/, ''))
  }

  /** The same for a stopping gateway: requests in flight are answered before. */
  shutDown(reason: 'SHUTTING_DOWN' | 'RESTARTING'): void {
    this.#requests?.refuseAll(
      new GatewayError('UNAVAILABLE', CLOSE[reason].description, {
        details: { reason: 'stopping' },
        retryAfterMs: 1000,
      }),
    )
    this.close(reason)
  }

  /** `ws` has refused what came and sent the fitting close code, or the network failed. */
  failed({ code = '' }: Error & { code?: string }): void {
    if (this.state === 'closed') return
    this.#finish(reasonOfFailure(code))
  }

  /** The peer shows no sign of life any more. */
  lost(): void {
    if (this.state !== 'closed') this.#finish('LOST')
    this.socket.terminate()
  }

  /** The socket is gone. */
  ended(): void {
    if (this.state !== 'closed') this.#finish(null)
    this.services.forget(this)
  }

  onOverflow(): void {
    this.services.stats.slowConsumers++
    this.close('SLOW_CONSUMER')
  }

  /** While much is unread, nothing more is read: what the peer asks for would only add to it. */
  onCongestion(congested: boolean): void {
    if (this.state !== 'open') return
    if (congested) {
      this.#held ??= []
      this.socket.pause()
    } else this.release()
  }

  /** Its pongs are not read meanwhile. */
  onTaken(): void {
    this.unansweredPings = 0
  }

  /** A frame that is not of the protocol: an error, and the connection lives on, unless they come in numbers. */
  bad(id: string | null, error: GatewayError): void {
    this.services.stats.framesBad++
    this.respondError(id, error)
    if (this.#limits.bad(performance.now())) this.close('PROTOCOL_ABUSE')
  }

  #take(text: string): void {
    if (this.#held === null) this.#process(text)
    else {
      this.#held.push(text)
      this.socket.pause()
    }
  }

  #process(text: string): void {
    if (this.state === 'closed') return
    const frame = readFrame(text)
    if (typeof frame === 'string') {
      this.bad(null, invalid(frame))
      return
    }
    if (this.state === 'open') {
      if (this.usage !== null && frame.type !== 'cancel' && this.#isBeyondLimits(this.usage, frame)) return
      if (frame.type === 'request') {
        this.#requests ??= new RequestTable(this)
        this.#requests.start(frame)
      } else if (frame.type === 'cancel') this.#cancel(frame)
      else if (frame.type === 'event') this.services.publish(this, frame)
      else this.#unexpected(frame)
    } else if (this.state === 'challenged') {
      if (frame.type === 'hello-proof') {
        this.#shake()
        this.#entrance!.proof(frame)
      } else this.bad(readFrameId(frame), invalid('type: expected hello-proof after hello-challenge'))
    } else if (frame.type === 'hello') {
      this.#shake()
      this.services.handshake(this, frame)
    } else {
      this.bad(readFrameId(frame), invalid('type: expected hello as the first frame'))
    }
  }

  /** What comes from here on waits for the end of the handshake. */
  #shake(): void {
    this.state = 'handshaking'
    this.#entrance!.arrived()
    // Nothing is paused for it before something else has come: most wait for the answer.
    this.#held = []
  }

  #takeHeld(): void {
    const held = this.#held
    if (held === null) return
    this.#held = null
    // What a frame sends may fill the outbox, and it may begin a handshake: then the rest waits again.
    for (const text of held) this.#take(text)
    if (this.#held === null && this.socket.isPaused) this.socket.resume()
  }

  #isBeyondLimits(usage: PrincipalUsage, frame: Record<string, unknown>): boolean {
    const refused = usage.refuseRequest(performance.now())
    if (refused !== null) this.respondError(readFrameId(frame), refused)
    return refused !== null
  }

  #cancel(frame: Record<string, unknown>): void {
    const id = readFrameId(frame)
    if (id === null) this.bad(null, invalid('id: expected the id of a request in flight'))
    else this.#requests?.cancel(id)
  }

  #unexpected(frame: Record<string, unknown>): void {
    const expected = frame.type === 'hello' ? 'one hello a connection' : 'request, event or cancel'
    this.bad(readFrameId(frame), invalid(`type: expected ${expected}`))
  }

  #limit(data: Buffer, retryAfterMs: number): void {
    if (this.#isAbusive()) return
    this.respondError(
      readFrameId(readFrame(data.toString())),
      new GatewayError('RATE_LIMITED', 'Too many frames on this connection.', { retryAfterMs }),
    )
  }

  /** Control frames count as frames do, though nothing answers those that are too many. */
  #admitControl(): boolean {
    if (this.state === 'closed') return false
    const admitted = this.#limits.take(performance.now()) === 0
    if (!admitted) this.#isAbusive()
    return admitted
  }

  /** One frame too many: whether there have been so many that the connection was closed. */
  #isAbusive(): boolean {
    this.services.stats.framesLimited++
    if (!this.#limits.exceeded(performance.now())) return false
    this.close('RATE_LIMITED')
    return true
  }

  #finish(reason: CloseReason | 'LOST' | null): void {
    const { stats, broadcaster } = this.services
    if (reason !== null) stats.closes[reason] = (stats.closes[reason] ?? 0) + 1
    this.state = 'closed'
    this.outbox.end()
    // A socket that is not read never sees the peer's answer to the close frame.
    if (this.socket.isPaused) this.socket.resume()
    this.#held = null
    this.#entrance?.close()
    this.#entrance = null
    this.#requests?.abortAll()
    broadcaster.unsubscribe(this)
    if (this.usage !== null) this.services.usages.leave(this.usage)
    this.usage = null
    this.#onEnd?.()
    this.#onEnd = null
    this.upgrade = null
  }
}

function invalid(message: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', message)
}
