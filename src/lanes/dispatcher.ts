import { GatewayError } from '../protocol/errors.js'
import { Lane, type Task } from './lane.js'

export interface DispatcherLimits {
  /** Waiting tasks of one lane. */
  readonly capacity: number
  /** Waiting and running tasks in all. */
  readonly maxPending: number
  /** Bytes of the waiting and running tasks in all. */
  readonly maxPendingBytes: number
  /** Tasks that run at the same time. */
  readonly concurrency: number
}

export interface DispatcherOptions<T extends Task> extends DispatcherLimits {
  /** Starts a task. It must lead to exactly one `done`, `park` or `hold` of the lane, and must not throw. */
  readonly run: (task: T, lane: Lane<T>) => void
  /** A lane refuses for the first time since it last had room. */
  readonly onFull?: (lane: Lane<T>, retryAfterMs: number) => void
}

export type RefusalReason = 'lane_full' | 'gateway_full' | 'memory' | 'stopping'

/**
 * Runs the tasks of each lane one at a time, in order, and those of different lanes side by side, round robin, up to
 * `concurrency` (spec §3.3). Keeps nothing of an idle lane: no timer, no promise, no object.
 */
export class LaneDispatcher<T extends Task> {
  readonly limits: DispatcherLimits
  /** Counters that only grow. */
  readonly refusals: Record<RefusalReason, number> = { lane_full: 0, gateway_full: 0, memory: 0, stopping: 0 }
  readonly #lanes = new Map<string, Lane<T>>()
  readonly #run: DispatcherOptions<T>['run']
  readonly #onFull: DispatcherOptions<T>['onFull']
  #readyHead: Lane<T> | null = null
  #readyTail: Lane<T> | null = null
  #running = 0
  #pending = 0
  #pendingBytes = 0
  #pumping = false
  #stopped = false
  /** Completions since `#sampledAt`, and the rate of the sample before, for `retryAfterMs`. */
  #completed = 0
  #sampledAt = performance.now()
  #ratePerMs = 0
  #onIdle: (() => void) | null = null
  #idle: Promise<void> | null = null

  constructor(options: DispatcherOptions<T>) {
    this.limits = options
    this.#run = options.run
    this.#onFull = options.onFull
  }

  /** Lanes that have work or are paused. */
  get size(): number {
    return this.#lanes.size
  }

  get running(): number {
    return this.#running
  }

  /** Waiting, running and reserved tasks. */
  get pending(): number {
    return this.#pending
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  lanes(): IterableIterator<Lane<T>> {
    return this.#lanes.values()
  }

  lane(key: string): Lane<T> | undefined {
    return this.#lanes.get(key)
  }

  /**
   * Reserves a place for a task that is not stored yet; give it back by `enqueue` or `release`.
   * @throws `UNAVAILABLE` with `retryAfterMs` when there is no room or the dispatcher is stopping.
   */
  admit(key: string, bytes: number): Lane<T> {
    if (this.#stopped) throw this.#refuse('stopping', 'the gateway is stopping', 1000)
    const lane = this.#lanes.get(key)
    if (lane !== undefined && lane.waiting + lane.reserved >= this.limits.capacity) {
      const retryAfterMs = this.#retryAfterMs()
      if (!lane.announcedFull) {
        lane.announcedFull = true
        this.#onFull?.(lane, retryAfterMs)
      }
      throw this.#refuse(
        'lane_full',
        `the session already has ${this.limits.capacity} waiting events`,
        retryAfterMs,
      )
    }
    if (this.#pending >= this.limits.maxPending) {
      throw this.#refuse('gateway_full', `${this.limits.maxPending} events are waiting`, this.#retryAfterMs())
    }
    if (this.#pendingBytes + bytes > this.limits.maxPendingBytes && this.#pending > 0) {
      throw this.#refuse(
        'memory',
        'the waiting events take up the memory that is set aside for them',
        this.#retryAfterMs(),
      )
    }
    const admitted = lane ?? this.#create(key)
    admitted.announcedFull = false
    admitted.reserved++
    this.#pending++
    this.#pendingBytes += bytes
    return admitted
  }

  /** Puts a stored task into the place that `admit` reserved. */
  enqueue(lane: Lane<T>, task: T): void {
    lane.reserved--
    lane.push(task)
    this.#makeReady(lane)
    this.#pump()
  }

  /** Gives a reserved place back. */
  release(lane: Lane<T>, bytes: number): void {
    lane.reserved--
    this.#forget(bytes)
    this.#drop(lane)
  }

  /**
   * Queues tasks without asking for room: what was accepted before (recovery, a revived dead letter). None starts before all
   * of them are in, so that the most urgent goes first.
   */
  restore(tasks: Iterable<readonly [key: string, task: T]>): void {
    for (const [key, task] of tasks) {
      const lane = this.#lanes.get(key) ?? this.#create(key)
      this.#pending++
      this.#pendingBytes += task.bytes
      lane.push(task)
      this.#makeReady(lane)
    }
    this.#pump()
  }

  /** The running or parked task has ended: the lane goes on. */
  done(lane: Lane<T>): void {
    const task = lane.running!
    if (lane.state === 'running') this.#running--
    lane.running = null
    lane.state = 'resting'
    this.#completed++
    this.#forget(task.bytes)
    if (lane.waiting > 0) this.#makeReady(lane)
    else this.#drop(lane)
    this.#pump()
  }

  /** The task waits, for another try or for its end: its lane stands still, its place goes to another lane. */
  park(lane: Lane<T>): void {
    if (lane.state === 'running') this.#running--
    lane.state = 'parked'
    this.#pump()
  }

  /** The parked task runs again as soon as there is a place. */
  unpark(lane: Lane<T>): void {
    if (lane.state !== 'parked') return
    lane.state = 'resuming'
    this.#makeReady(lane)
    this.#pump()
  }

  /** The task that was to run waits at the head of its lane, which stands still until `unhold`. */
  hold(lane: Lane<T>): void {
    const task = lane.running!
    if (lane.state === 'running') this.#running--
    lane.running = null
    lane.state = 'resting'
    lane.putBack(task)
    lane.heldFor = task
    this.#pump()
  }

  unhold(lane: Lane<T>): void {
    if (lane.heldFor === null) return
    lane.heldFor = null
    this.#makeReady(lane)
    this.#pump()
  }

  /** No further task starts in this lane until `resume`; the running one ends. */
  pause(key: string): Lane<T> {
    const lane = this.#lanes.get(key) ?? this.#create(key)
    lane.paused = true
    return lane
  }

  resume(key: string): void {
    const lane = this.#lanes.get(key)
    if (lane === undefined || !lane.paused) return
    lane.paused = false
    this.#makeReady(lane)
    this.#drop(lane)
    this.#pump()
  }

  /** Takes waiting tasks out of a lane; their places stay taken until the caller, having ended each, calls `release`. */
  remove(lane: Lane<T>, predicate: (task: T) => boolean): T[] {
    const removed = lane.remove(predicate)
    lane.reserved += removed.length
    if (lane.heldFor !== null && removed.includes(lane.heldFor)) this.unhold(lane)
    return removed
  }

  /** Refuses new tasks and starts no other; resolves once none runs. What waits stays in the journal. */
  stop(): Promise<void> {
    this.#stopped = true
    this.#idle ??= new Promise((resolve) => {
      this.#onIdle = resolve
    })
    if (this.#running === 0) this.#onIdle!()
    return this.#idle
  }

  get stopped(): boolean {
    return this.#stopped
  }

  #create(key: string): Lane<T> {
    const lane = new Lane<T>(key)
    this.#lanes.set(key, lane)
    return lane
  }

  #drop(lane: Lane<T>): void {
    if (lane.idle && this.#lanes.get(lane.key) === lane) this.#lanes.delete(lane.key)
  }

  #forget(bytes: number): void {
    this.#pending--
    this.#pendingBytes -= bytes
  }

  #makeReady(lane: Lane<T>): void {
    if (lane.ready || lane.state === 'running' || lane.state === 'parked') return
    if (lane.state === 'resting' && (lane.waiting === 0 || lane.paused || lane.heldFor !== null)) return
    lane.ready = true
    if (this.#readyTail === null) this.#readyHead = lane
    else this.#readyTail.nextReady = lane
    this.#readyTail = lane
  }

  /** A loop, not a recursion: tasks that end at once do not pile up on the stack. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#stopped && this.#running < this.limits.concurrency && this.#readyHead !== null) {
      const lane = this.#readyHead
      this.#readyHead = lane.nextReady
      if (this.#readyHead === null) this.#readyTail = null
      lane.nextReady = null
      lane.ready = false
      if (lane.state === 'parked') continue
      if (lane.state === 'resting' && !lane.paused) lane.running = lane.shift()
      if (lane.running === null) {
        this.#drop(lane)
        continue
      }
      lane.state = 'running'
      this.#running++
      this.#run(lane.running, lane)
    }
    this.#pumping = false
    if (this.#running === 0 && this.#onIdle !== null) this.#onIdle()
  }

  #refuse(reason: RefusalReason, why: string, retryAfterMs: number): GatewayError {
    this.refusals[reason]++
    return new GatewayError('UNAVAILABLE', `Refused: ${why}; try again later.`, {
      details: { reason },
      retryAfterMs,
    })
  }

  /** By Little's law the runs at hand over the rate of completions is how long one takes: when a place will be free. */
  #retryAfterMs(): number {
    const now = performance.now()
    const elapsed = now - this.#sampledAt
    if (elapsed >= 1000) {
      this.#ratePerMs = this.#completed / elapsed
      this.#completed = 0
      this.#sampledAt = now
    }
    const estimate = this.#ratePerMs > 0 ? Math.max(this.#running, 1) / this.#ratePerMs : 1000
    return Math.round(Math.min(Math.max(estimate, 100), 30_000))
  }
}
