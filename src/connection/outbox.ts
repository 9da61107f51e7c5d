import type { Writable } from 'node:stream'
import { failpoint } from '#failpoint'
import { encodeFrames, type Outgoing } from './frame-codec.js'

export interface OutboxStats {
  framesSent: number
  bytesSent: number
  writes: number
  deltasDropped: number
}

/** An event that goes to many: encoded once, the same bytes for every receiver. */
export interface SharedFrame {
  readonly bytes: Buffer
  /** The frame's JSON, for the rare receiver that needs a field of its own. */
  readonly text: string
  /** May be left out for a receiver that reads slowly: a later event supersedes it. */
  readonly droppable: boolean
}

/**
 * Writes the outboxes that were filled in this turn of the event loop, each with one write. `setImmediate` comes after the
 * promises of the turn, so that the replies of async handlers travel together as well.
 */
export class Flusher {
  readonly stats: OutboxStats = { framesSent: 0, bytesSent: 0, writes: 0, deltasDropped: 0 }
  #dirty: Outbox[] = []
  #spare: Outbox[] = []
  #scheduled = false
  /** The queue that was encoded last: receivers of the same events share its buffer. */
  #lastQueue: readonly Outgoing[] = []
  #lastBytes: Buffer | null = null
  readonly #flush = () => this.flush()

  schedule(outbox: Outbox): void {
    this.#dirty.push(outbox)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  flush(): void {
    this.#scheduled = false
    const dirty = this.#dirty
    this.#dirty = this.#spare
    for (const outbox of dirty) outbox.flush()
    dirty.length = 0
    this.#spare = dirty
    this.#lastQueue = []
    this.#lastBytes = null
  }

  /** The bytes of a queue; those of the queue before when it held the very same shared frames. */
  encode(queue: readonly Outgoing[]): Buffer {
    if (this.#lastBytes !== null && sameFrames(queue, this.#lastQueue)) return this.#lastBytes
    const bytes = encodeFrames(queue)
    if (typeof queue[0] !== 'string') {
      this.#lastQueue = queue
      this.#lastBytes = bytes
    }
    return bytes
  }
}

function sameFrames(a: readonly Outgoing[], b: readonly Outgoing[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] || typeof a[i] === 'string') return false
  return true
}

export interface OutboxOwner {
  /** The socket takes no more data frames: a close frame has gone out (RFC 6455 §5.5.1). */
  readonly hungUp: boolean
  /** More events are unread than the bound allows: the connection has to end. */
  onOverflow(): void
  /** Past half of the bound (true) or mostly read (false): reading should pause or may go on. */
  onCongestion(congested: boolean): void
  /** While much is unread, the peer has taken some of it: it lives. */
  onTaken(): void
}

const NOTHING: Outgoing[] = []

/**
 * The bounded output of one connection (spec §1, Slow consumers). Writes beside `ws` to the socket that it owns: safe
 * because frames are whole and compression is off; `ws` itself writes only control frames.
 */
export class Outbox {
  framesOut = 0
  #queue: Outgoing[] = NOTHING
  #queuedBytes = 0
  /** At most this much of what is unread the peer has asked for. */
  #askedBytes = 0
  #dropped = 0
  #ended = false
  /** Set while much is unread: ends that. */
  #relieve: (() => void) | null = null
  #waiters: (() => void)[] | null = null

  constructor(
    private readonly socket: Writable,
    private readonly flusher: Flusher,
    private readonly owner: OutboxOwner,
    private readonly maxBytes: number,
  ) {}

  /** Output that waits for the end of this turn of the event loop. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Output that the peer has not taken: queued here or in the socket. */
  get bufferedBytes(): number {
    return this.#queuedBytes + this.socket.writableLength
  }

  get congested(): boolean {
    return this.#relieve !== null
  }

  /**
   * Queues what the peer asked for: a response, or an event of a replay. It never overflows: requests in flight are
   * bounded, nothing more is read while much is unread, and replays wait for `writable`.
   */
  send(frame: Outgoing): void {
    if (this.#ended) return
    this.#askedBytes += frame.length
    this.#push(frame)
  }

  /** Queues an event; false when it was dropped because the reader is slow. */
  sendEvent(frame: SharedFrame): boolean {
    if (this.#ended) return false
    const { bufferedBytes } = this
    const unread = bufferedBytes - Math.min(this.#askedBytes, bufferedBytes)
    if (frame.droppable && unread > this.maxBytes / 2) {
      this.#dropped++
      this.flusher.stats.deltasDropped++
      return false
    }
    if (unread > 0 && unread + frame.bytes.length > this.maxBytes) {
      this.#end()
      this.owner.onOverflow()
      return false
    }
    if (this.#dropped === 0) this.#push(frame.bytes)
    else {
      this.#push(`${frame.text.slice(0, -1)},"dropped":${this.#dropped}}`)
      this.#dropped = 0
    }
    return true
  }

  /** Resolves once what is queued is written and the reader has taken enough of it, or the output has ended. */
  async writable(): Promise<void> {
    this.flush()
    if (!this.congested || this.#ended) return
    this.#waiters ??= []
    await new Promise<void>((resolve) => this.#waiters!.push(resolve))
  }

  flush(): void {
    const queue = this.#queue
    const { socket } = this
    if (queue.length === 0 || this.#ended || socket.destroyed || this.owner.hungUp) return
    this.#queue = NOTHING
    this.#queuedBytes = 0
    const bytes = this.flusher.encode(queue)
    const { stats } = this.flusher
    stats.framesSent += queue.length
    this.framesOut += queue.length
    stats.bytesSent += bytes.length
    stats.writes++
    const much = this.maxBytes / 2
    failpoint('response.writing')
    if (this.#relieve === null && socket.writableLength + bytes.length <= much) socket.write(bytes)
    else {
      const relieve = this.#relieve ?? this.#reliever()
      socket.write(bytes, relieve)
      if (this.#relieve === null && socket.writableLength > much) {
        this.#relieve = relieve
        this.owner.onCongestion(true)
      }
    }
    failpoint('response.written')
    if (this.#askedBytes > socket.writableLength) this.#askedBytes = socket.writableLength
  }

  /** Writes what is queued and takes no more. Twice is fine. */
  end(): void {
    this.flush()
    this.#end()
  }

  #push(item: Outgoing): void {
    this.#queuedBytes += item.length
    if (this.#queue.length === 0) {
      this.#queue = [item]
      this.flusher.schedule(this)
    } else {
      this.#queue.push(item)
    }
    // Much in one turn: whether the peer takes it shows only once it is written.
    if (this.#queuedBytes > this.maxBytes / 2) this.flush()
  }

  /** To be called when a write is done; ends the congestion when most is taken. Under a steady stream all never is. */
  #reliever(): () => void {
    const relieve = () => {
      if (this.#relieve !== relieve) return
      this.owner.onTaken()
      if (this.socket.writableLength > this.maxBytes / 4) return
      this.#relieve = null
      this.#wake()
      this.owner.onCongestion(false)
    }
    return relieve
  }

  #end(): void {
    this.#ended = true
    this.#queue = NOTHING
    this.#queuedBytes = 0
    this.#wake()
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = null
    for (const resolve of waiters ?? []) resolve()
  }
}
