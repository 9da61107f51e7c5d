import type { DeliveryChannel } from './delivery-channel.js'

/** What waits for one peer, in order. */
export interface PeerQueue {
  readonly peer: string
  readonly ids: string[]
  /** Failed tries of the first one. */
  attempts: number
  /** How the platform names the parts of the first one that this process sent. */
  readonly messageIds: string[]
  /** Set while the first one waits for its next try. */
  timer: NodeJS.Timeout | null
}

/** The deliveries of one channel: ids alone, by peer. A peer is due, being sent to, or waits for another try. */
export class ChannelQueue {
  /** Null: nothing can be sent; it is stopped, or is not configured any more. */
  channel: DeliveryChannel | null = null
  /** Deliveries that wait, and places that are kept for some on their way to the disk. */
  pending = 0
  readonly #peers = new Map<string, PeerQueue>()
  /** In turn. */
  readonly #due: PeerQueue[] = []
  #active = 0
  #hold: { readonly timer: NodeJS.Timeout; readonly until: number } | null = null
  #closed = false
  readonly #wake: () => void

  /** @param wake called when what had to wait is due */
  constructor(
    readonly name: string,
    wake: () => void,
  ) {
    this.#wake = wake
  }

  /** Whether something may be sent now. */
  get open(): boolean {
    return !this.#closed && this.#hold === null && this.channel?.ready === true
  }

  /** Puts it behind those for the same peer; its place in `pending` is the caller's. Returns how many are ahead. */
  add(peer: string, id: string): number {
    const queue = this.#peers.get(peer)
    if (queue !== undefined) return queue.ids.push(id) - 1
    const added: PeerQueue = { peer, ids: [id], attempts: 0, messageIds: [], timer: null }
    this.#peers.set(peer, added)
    this.#due.push(added)
    return 0
  }

  /** The peer whose turn it is; one of `settled`, `again` and `later` has to follow. Undefined: none, for now. */
  take(): PeerQueue | undefined {
    if (!this.open || this.#active >= this.channel!.concurrency) return undefined
    const next = this.#due.shift()
    if (next !== undefined) this.#active++
    return next
  }

  /** The first one is done with: the peer's next waits its turn behind the other peers. */
  settled(queue: PeerQueue): void {
    this.#active--
    this.pending--
    queue.ids.shift()
    queue.attempts = 0
    queue.messageIds.length = 0
    if (queue.ids.length > 0) this.#due.push(queue)
    else this.#peers.delete(queue.peer)
  }

  /** It was interrupted, and goes on as soon as it can. */
  again(queue: PeerQueue): void {
    this.#active--
    this.#due.unshift(queue)
  }

  later(queue: PeerQueue, ms: number): void {
    this.#active--
    if (this.#closed) return
    queue.timer = setTimeout(() => {
      queue.timer = null
      this.#due.push(queue)
      this.#wake()
    }, ms)
  }

  /** Nothing is sent to anyone for so long, or longer where that was said before. */
  hold(ms: number): void {
    const until = performance.now() + ms
    if (this.#closed || (this.#hold?.until ?? 0) > until) return
    clearTimeout(this.#hold?.timer)
    const timer = setTimeout(() => {
      this.#hold = null
      this.#wake()
    }, ms)
    this.#hold = { timer, until }
  }

  /** Nothing further begins. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#hold?.timer)
    for (const { timer } of this.#peers.values()) if (timer !== null) clearTimeout(timer)
  }
}
