import type { Lease } from '../journal/journal.js'
import type { Sender } from './ready-list.js'

/** What an event takes up from its admission to its end. */
export interface Place {
  /** Payload size, for the dispatcher's bounds. */
  readonly bytes: number
  /** Whose it is; null: nobody's, as it was accepted before the start. */
  readonly sender: Sender | null
}

/** What a lane queues. The link is part of the task, so that queueing allocates nothing. */
export interface Task extends Place {
  /** Index into the protocol's `PRIORITIES`: 0 is the most urgent class. */
  readonly rank: 0 | 1 | 2
  /** Owned by the lane. */
  next: Task | null
}

/**
 * `resting`: nothing runs; `running`: its task holds one of the dispatcher's places; `parked`: its task waits for another
 * try and holds none; `resuming`: that wait is over.
 */
export type LaneState = 'resting' | 'running' | 'parked' | 'resuming'

/**
 * The serial queue of one session: one intrusive list, ordered by rank and FIFO within a rank, with the last task of each
 * rank at hand. Fields beyond the queue belong to the dispatcher.
 */
export class Lane<T extends Task> {
  head: T | null = null
  waiting = 0
  /** Places held for events on their way to the disk: to be accepted, or taken out of the queue and being ended. */
  reserved = 0
  /** Of those that were taken out of the queue: they are to end without having run. */
  ending: Set<T> | null = null
  running: T | null = null
  paused = false
  /** Its head, while that is not to start yet and nothing else before it. */
  heldFor: T | null = null
  state: LaneState = 'resting'
  /** In the dispatcher's ready list. */
  ready = false
  nextReady: Lane<T> | null = null
  /** A refusal was announced since there last was room. */
  announcedFull = false
  /** The right to handle the session's events; asked for once, and gone with the lane. */
  lease: Promise<Lease> | null = null
  #last0: T | null = null
  #last1: T | null = null
  #last2: T | null = null
  /** How many wait of rank 0, and of rank 0 and 1. */
  #upTo0 = 0
  #upTo1 = 0

  constructor(readonly key: string) {}

  get idle(): boolean {
    return this.running === null && this.waiting === 0 && this.reserved === 0 && !this.paused
  }

  push(task: T): void {
    const after =
      task.rank === 0
        ? this.#last0
        : task.rank === 1
          ? (this.#last1 ?? this.#last0)
          : (this.#last2 ?? this.#last1 ?? this.#last0)
    if (after === null) {
      task.next = this.head
      this.head = task
    } else {
      task.next = after.next
      after.next = task
    }
    this.#setLast(task.rank, task)
    this.#count(task.rank, 1)
  }

  /** Gives back what `shift` took: before the others of its rank. */
  putBack(task: T): void {
    const before = task.rank === 0 ? null : task.rank === 1 ? this.#last0 : (this.#last1 ?? this.#last0)
    if (before === null) {
      task.next = this.head
      this.head = task
    } else {
      task.next = before.next
      before.next = task
    }
    if (this.#last(task.rank) === null) this.#setLast(task.rank, task)
    this.#count(task.rank, 1)
  }

  shift(): T | null {
    const task = this.head
    if (task === null) return null
    this.head = task.next as T | null
    if (this.#last(task.rank) === task) this.#setLast(task.rank, null)
    task.next = null
    this.#count(task.rank, -1)
    return task
  }

  /** Tasks that will run before one of this rank that is pushed now, the running one included. */
  ahead(rank: Task['rank']): number {
    const waiting = rank === 0 ? this.#upTo0 : rank === 1 ? this.#upTo1 : this.waiting
    return this.running === null ? waiting : waiting + 1
  }

  /** Takes the waiting tasks for which `predicate` is true out of the queue, in order. */
  remove(predicate: (task: T) => boolean): T[] {
    const kept: T[] = []
    const removed: T[] = []
    for (let task = this.shift(); task !== null; task = this.shift())
      (predicate(task) ? removed : kept).push(task)
    for (const task of kept) this.push(task)
    return removed
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let task = this.head; task !== null; task = task.next as T | null) yield task
  }

  #count(rank: Task['rank'], change: number): void {
    this.waiting += change
    if (rank < 2) this.#upTo1 += change
    if (rank === 0) this.#upTo0 += change
  }

  #last(rank: Task['rank']): T | null {
    return rank === 0 ? this.#last0 : rank === 1 ? this.#last1 : this.#last2
  }

  #setLast(rank: Task['rank'], task: T | null): void {
    if (rank === 0) this.#last0 = task
    else if (rank === 1) this.#last1 = task
    else this.#last2 = task
  }
}
