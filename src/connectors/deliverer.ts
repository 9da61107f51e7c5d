import type { Broadcaster } from '../events/broadcaster.js'
import type { Journal } from '../journal/journal.js'
import type { DeliveryRecord, NewDelivery, PendingDelivery, SendKey, SentBefore } from '../journal/outbox.js'
import { within } from '../lifecycle/within.js'
import type { Log } from '../log.js'
import { type ErrorShape, EVENTS, GatewayError } from '../protocol/index.js'
import { entry } from '../sessions/sessions.js'
import { tracedLog } from '../tracing/traced-log.js'
import { DeliveryAttempts, type DeliveryAttemptsOptions } from './delivery-attempt.js'
import type { DeliveryChannel } from './delivery-channel.js'
import { causeOf, type DeliveryPolicy, judge } from './delivery-failure.js'
import { ChannelQueue, type PeerQueue } from './delivery-queue.js'
import { age, describe } from './delivery-report.js'
import { DeliveryWaiters } from './delivery-waiters.js'

export type DeliveryOutcome = 'delivered' | 'retried' | 'dead'

export interface DelivererOptions extends Pick<DeliveryAttemptsOptions, 'tracing'> {
  readonly journal: Journal
  readonly broadcaster: Pick<Broadcaster, 'broadcast'>
  readonly log: Log
  /** The channels of the configuration, whether they are attached yet or not. */
  readonly channels: ReadonlySet<string>
  /** Deliveries that may wait for one channel before further ones are refused; answers of runs never are. */
  readonly maxPendingDeliveries: number
  /** `timeoutMs`: how long the platform may take for one part. */
  readonly delivery: DeliveryPolicy & { readonly timeoutMs: number }
  /** Whether a question still waits for its answer; one that does not is not sent any more. */
  readonly isOpen?: (questionId: string) => boolean
  /** Told how each try ended; `seconds` since the delivery was accepted. */
  readonly observe: (channel: string, outcome: DeliveryOutcome, seconds: number) => void
}

/** A full channel has room again about then. */
const FULL_RETRY_AFTER_MS = 5_000
/** Before a delivery that could not be read is looked at again. */
const FAULT_BACKOFF_MS = 1_000

/**
 * Says on the channels what the journal holds for them (spec §3, The promise): at least once, in order for each peer, to
 * several peers at the same time. Only ids are kept here; what waits is in the journal until the platform took it.
 */
export class Deliverer {
  readonly #options: DelivererOptions
  readonly #attempts: DeliveryAttempts
  readonly #queues = new Map<string, ChannelQueue>()
  readonly #waiters: DeliveryWaiters
  /** Aborts when what is being sent has had its time. */
  readonly #abort = new AbortController()
  readonly #running = new Set<Promise<void>>()
  /** What comes before `recover` has read the journal, which may hold it by then. Null: it has. */
  #early: Pick<NewDelivery, 'id' | 'channel' | 'peer'>[] | null = []
  #stopped: Promise<void> | null = null

  constructor(options: DelivererOptions) {
    this.#options = options
    this.#attempts = new DeliveryAttempts({ ...options, signal: this.#abort.signal })
    this.#waiters = new DeliveryWaiters(options.journal)
  }

  /** Takes up what waited when the process before ended. Returns how much; to be called once. */
  async recover(): Promise<number> {
    const pending = await this.#options.journal.pendingDeliveries()
    const known = new Set(pending.map(({ id }) => id))
    const early = this.#early!.filter(({ id }) => !known.has(id))
    this.#early = null
    this.add([...pending, ...early])
    for (const { channel, deliveries } of this.unknown()) {
      this.#options.log.warn({ channel, deliveries }, 'deliveries wait for a channel that is not configured')
    }
    return pending.length
  }

  /** Whether there is a channel of that name: what is for it is delivered sooner or later. */
  isChannel(name: string): boolean {
    return this.#options.channels.has(name) || (this.#queues.get(name)?.channel ?? null) !== null
  }

  /** From now on what is for it is sent whenever it is ready. */
  attach(channel: DeliveryChannel): void {
    const queue = this.#queue(channel.name)
    queue.channel = channel
    this.#pump(queue)
  }

  /** The channel has connected: what waits for it goes on. */
  ready(channel: string): void {
    const queue = this.#queues.get(channel)
    if (queue !== undefined) this.#pump(queue)
  }

  /** The channel is not used any more. What waits for it stays. */
  detach(channel: string): void {
    const queue = this.#queues.get(channel)
    if (queue !== undefined) queue.channel = null
  }

  /** How many deliveries wait for a channel. */
  pending(channel: string): number {
    return this.#queues.get(channel)?.pending ?? 0
  }

  hasRoom(channel: string): boolean {
    return this.pending(channel) < this.#options.maxPendingDeliveries
  }

  /** How many wait for each channel that there is. */
  *waiting(): IterableIterator<{ channel: string; deliveries: number }> {
    for (const { name, pending } of this.#queues.values()) {
      if (this.isChannel(name)) yield { channel: name, deliveries: pending }
    }
  }

  /** How many wait for each channel that is not configured any more. */
  *unknown(): IterableIterator<{ channel: string; deliveries: number }> {
    for (const { name, pending } of this.#queues.values()) {
      if (pending > 0 && !this.isChannel(name)) yield { channel: name, deliveries: pending }
    }
  }

  /**
   * Resolves once they are on disk. @throws `NOT_FOUND` where there is no such channel, `UNAVAILABLE` where too much waits
   * for it already or the journal cannot write; then none of them is kept.
   */
  async enqueue(deliveries: readonly NewDelivery[]): Promise<void> {
    await this.#placed(deliveries, () => this.#options.journal.enqueue(deliveries))
    this.add(deliveries)
  }

  /** The same for one that may be sent again: then nothing happens, and what the key stands for is returned. */
  async enqueueOnce(delivery: NewDelivery, once: SendKey): Promise<SentBefore | null> {
    const { journal } = this.#options
    const { channel, sessionKey } = delivery
    // A repeated send is answered even where a new one would find no room.
    const known = this.hasRoom(channel) ? null : await journal.sentBefore(sessionKey, once.key)
    const before = known ?? (await this.#placed([delivery], () => journal.enqueueOnce(delivery, once)))
    if (before === null) this.add([delivery])
    return before
  }

  /** They count as waiting while they are written. */
  async #placed<T>(deliveries: readonly NewDelivery[], write: () => Promise<T>): Promise<T> {
    const queues = deliveries.map(({ channel }) => this.#queueWithRoom(channel))
    for (const queue of queues) queue.pending++
    try {
      return await write()
    } finally {
      for (const queue of queues) queue.pending--
    }
  }

  /** Takes up deliveries that the journal holds; they may be gone from it again. Returns how many are ahead of the last one. */
  add(deliveries: readonly Pick<NewDelivery, 'id' | 'channel' | 'peer'>[]): number {
    let ahead = 0
    if (this.#early !== null) {
      for (const { id, channel, peer } of deliveries) this.#early.push({ id, channel, peer })
      return ahead
    }
    const queues = new Set<ChannelQueue>()
    for (const { id, channel, peer } of deliveries) {
      const queue = this.#queue(channel)
      queue.pending++
      ahead = queue.add(peer, id)
      queues.add(queue)
    }
    for (const queue of queues) this.#pump(queue)
    return ahead
  }

  /** Tries a dead delivery again, behind all others. Null: it is not dead. @throws `NOT_LINKED` where its channel is gone. */
  async retry({ id, channel }: Pick<PendingDelivery, 'id' | 'channel'>): Promise<number | null> {
    if (!this.isChannel(channel)) {
      throw new GatewayError('NOT_LINKED', `There is no channel '${channel}'.`, { details: { channel } })
    }
    const revived = await this.#options.journal.reviveDelivery(id)
    return revived === null ? null : this.add([revived])
  }

  /** Resolves once the platform has taken it. @throws why it could not be delivered for good, or the signal's reason. */
  wait(id: string, signal: AbortSignal): Promise<void> {
    return this.#waiters.wait(id, signal)
  }

  /**
   * Sends nothing further; what is being sent may end within `graceMs`, and is then aborted. What the platform has not taken
   * stays in the journal. Twice is fine.
   */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs)
    return this.#stopped
  }

  async #stop(graceMs: number): Promise<void> {
    for (const queue of this.#queues.values()) queue.close()
    const ended = Promise.all(this.#running)
    if (!(await within(ended, graceMs))) this.#abort.abort()
    await ended
    this.#abort.abort()
  }

  #queue(name: string): ChannelQueue {
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      const made = new ChannelQueue(name, () => this.#pump(made))
      if (this.#stopped !== null) made.close()
      this.#queues.set(name, made)
      queue = made
    }
    return queue
  }

  #queueWithRoom(channel: string): ChannelQueue {
    if (!this.isChannel(channel)) {
      throw new GatewayError('NOT_FOUND', `There is no channel '${channel}'.`, { details: { channel } })
    }
    if (this.hasRoom(channel)) return this.#queue(channel)
    throw new GatewayError('UNAVAILABLE', 'Too much waits for this channel; try again later.', {
      details: { channel },
      retryAfterMs: FULL_RETRY_AFTER_MS,
    })
  }

  #pump(queue: ChannelQueue): void {
    for (let peer = queue.take(); peer !== undefined; peer = queue.take()) {
      const running = this.#run(queue, peer).finally(() => {
        this.#running.delete(running)
        this.#pump(queue)
      })
      this.#running.add(running)
    }
  }

  /** One try of the peer's first delivery. Never rejects. */
  async #run(queue: ChannelQueue, peer: PeerQueue): Promise<void> {
    const id = peer.ids[0]!
    const tried = await this.#attempts
      .run(id, queue.channel!, () => queue.open, peer.messageIds)
      .catch((error: unknown) => ({ status: 'fault' as const, error }))
    switch (tried.status) {
      case 'delivered':
        this.#tellSent(tried.delivery, peer.messageIds)
        queue.settled(peer)
        return
      case 'gone':
        queue.settled(peer)
        return
      case 'interrupted':
        queue.again(peer)
        return
      case 'fault':
        this.#options.log.warn({ err: tried.error, deliveryId: id }, 'delivery could not be read yet')
        queue.later(peer, FAULT_BACKOFF_MS)
        return
      case 'failed':
        await this.#failed(queue, peer, tried.delivery, tried.error)
    }
  }

  async #failed(queue: ChannelQueue, peer: PeerQueue, delivery: DeliveryRecord, thrown: unknown) {
    const { delivery: policy, observe } = this.#options
    const log = tracedLog(this.#options.log, delivery)
    const { error, limited, retryInMs } = judge(thrown, peer.attempts, policy)
    if (!limited) peer.attempts++
    const { code } = error
    const fields = { deliveryId: delivery.id, channel: queue.name, attempt: peer.attempts, code }
    const cause = causeOf(thrown)
    if (retryInMs === null) {
      log.warn({ ...fields, cause }, 'delivery failed for good')
      return this.#bury(queue, peer, delivery, error)
    }
    log.warn({ ...fields, cause, retryInMs }, 'delivery is tried again')
    observe(queue.name, 'retried', age(delivery))
    if (!limited) return queue.later(peer, retryInMs)
    queue.hold(retryInMs)
    queue.again(peer)
  }

  async #bury(queue: ChannelQueue, peer: PeerQueue, delivery: DeliveryRecord, error: ErrorShape) {
    const { journal, observe } = this.#options
    const { id, sessionKey } = delivery
    const { attempts } = peer
    const payload = { ...describe(delivery), error, attempts }
    const entries = [entry(EVENTS.deliveryFailed.name, sessionKey, Date.now(), payload)]
    const buried = await this.#attempts.persist(() => journal.undeliverable(id, error, attempts, entries))
    if (buried === null) return queue.again(peer)
    observe(queue.name, 'dead', age(delivery))
    this.#waiters.dead(id, error)
    queue.settled(peer)
  }

  #tellSent(delivery: DeliveryRecord, messageIds: readonly string[]): void {
    const { broadcaster, observe } = this.#options
    const { id, channel, sessionKey } = delivery
    observe(channel, 'delivered', age(delivery))
    const payload = JSON.stringify({ ...describe(delivery), messageIds })
    broadcaster.broadcast({ event: EVENTS.deliverySent.name, sessionKey, at: Date.now(), payload, seq: 0 })
    this.#waiters.delivered(id)
  }
}
