import { Admission, type AdmissionLimits, Refusal, type RefusalReason } from './admission.js'
import { Lane, type Place, type Task } from './lane.js'
import { ReadyList, type Sender } from './ready-list.js'

export interface DispatcherLimits extends AdmissionLimits {
  /** Tasks that run at the same time. */
  readonly concurrency: number
}

export interface DispatcherOptions<T extends Task> extends DispatcherLimits {
  /** Starts a task. It must lead to exactly one `done`, `park` or `hold` of the lane, and must not throw. */
  readonly run: (task: T, lane: Lane<T>) => void
  /** Whether the process has memory for a task of so many bytes. */
  readonly hasMemory?: (bytes: number) => boolean
  /** A lane refuses for the first time since it last had room. */
  readonly onFull?: (key: string, retryAfterMs: number) => void
}

/**
 * Runs the tasks of each lane one at a time, in order, and those of different lanes side by side, up to `concurrency`, the
 * senders and their lanes in turn (spec §3.3). Keeps nothing of an idle lane: no timer, no promise, no object.
 */
export class LaneDispatcher<T extends Task> {
  limits: DispatcherLimits
  readonly #lanes = new Map<string, Lane<T>>()
  readonly #run: DispatcherOptions<T>['run']
  readonly #onFull: DispatcherOptions<T>['onFull']
  readonly #admission: Admission
  readonly #ready = new ReadyList<T>()
  #running = 0
  /** The places that `reserved` of the lanes counts, in all. */
  #reserved = 0
  #pumping = false
  #stopped = false
  #onIdle: (() => void) | null = null
  #idle: Promise<void> | null = null

  constructor(options: DispatcherOptions<T>) {
    this.limits = options
    this.#run = options.run
    this.#onFull = options.onFull
    this.#admission = new Admission(options, options.hasMemory ?? (() => true))
  }

  /** Other limits; what is past them already stays. */
  limit(limits: DispatcherLimits): void {
    this.limits = limits
    this.#admission.limits = limits
    this.#pump()
  }

  /** Lanes that have work or are paused. */
  get size(): number {
    return this.#lanes.size
  }

  get running(): number {
    return this.#running
  }

  /** Counters that only grow. */
  get refusals(): Readonly<Record<RefusalReason, number>> {
    return this.#admission.refusals
  }

  /** Waiting, running and reserved tasks. */
  get pending(): number {
    return this.#admission.pending
  }

  get pendingBytes(): number {
    return this.#admission.pendingBytes
  }

  lanes(): IterableIterator<Lane<T>> {
    return this.#lanes.values()
  }

  lane(key: string): Lane<T> | undefined {
    return this.#lanes.get(key)
  }

  /** The one who is counted under this name. To be asked for anew for each event: nothing is kept of who has none. */
  sender(name: string): Sender {
    return this.#admission.sender(name)
  }

  /**
   * Reserves a place for a task that is not stored yet; give it back by `enqueue` or `release`.
   * @throws Refusal with `retryAfterMs` when there is no room or the dispatcher is stopping; tell `refused` if it stands.
   */
  admit(key: string, place: Place): Lane<T> {
    const lane = this.#lanes.get(key)
    if (this.#stopped) throw new Refusal('stopping', 'the gateway is stopping', 1000)
    const refusal = this.#admission.refusal(lane, place, this.#running)
    if (refusal !== null) throw refusal
    const admitted = lane ?? this.#create(key)
    admitted.announcedFull = false
    admitted.reserved++
    this.#reserved++
    this.#admission.take(place)
    return admitted
  }

  /** Counts a refusal, which is one only once nothing else answers the event: a repeated send is answered all the same. */
  refused({ reason, full, retryAfterMs }: Refusal): void {
    this.#admission.refusals[reason]++
    if (full === null || full.announcedFull) return
    full.announcedFull = true
    this.#onFull?.(full.key, retryAfterMs!)
  }

  /** Puts a stored task into the place that `admit` reserved. */
  enqueue(lane: Lane<T>, task: T): void {
    lane.reserved--
    this.#reserved--
    lane.push(task)
    this.#makeReady(lane)
    this.#pump()
  }

  /** Gives a reserved place back. */
  release(lane: Lane<T>, place: Place): void {
    lane.reserved--
    this.#reserved--
    this.#admission.give(place)
    this.#drop(lane)
    this.#tellIdle()
  }

  /**
   * Queues tasks without asking for room: what was accepted before (recovery, a revived dead letter). None starts before all
   * of them are in, so that the most urgent goes first.
   */
  restore(tasks: Iterable<readonly [key: string, task: T]>): void {
    for (const [key, task] of tasks) {
      const lane = this.#lanes.get(key) ?? this.#create(key)
      this.#admission.take(task)
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
    this.#admission.completed()
    this.#admission.give(task)
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
    this.#reserved += removed.length
    if (lane.heldFor !== null && removed.includes(lane.heldFor)) this.unhold(lane)
    return removed
  }

  /**
   * Refuses new tasks and starts no other; resolves once none runs and none is on its way to the disk, so that whoever sent
   * it hears of it. What waits stays in the journal.
   */
  stop(): Promise<void> {
    this.#stopped = true
    this.#idle ??= new Promise((resolve) => {
      this.#onIdle = resolve
    })
    this.#tellIdle()
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

  #makeReady(lane: Lane<T>): void {
    if (lane.ready || lane.state === 'running' || lane.state === 'parked') return
    if (lane.state === 'resting' && (lane.waiting === 0 || lane.paused || lane.heldFor !== null)) return
    lane.ready = true
    this.#ready.push(lane)
  }

  /** A loop, not a recursion: tasks that end at once do not pile up on the stack. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#stopped && this.#running < this.limits.concurrency && !this.#ready.empty) {
      const lane = this.#ready.shift()!
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
    this.#tellIdle()
  }

  #tellIdle(): void {
    if (this.#running === 0 && this.#reserved === 0) this.#onIdle?.()
  }
}
