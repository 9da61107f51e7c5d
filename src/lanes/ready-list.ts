import type { Lane, Task } from './lane.js'

/** Someone whose events are counted, and whose lanes take their turns: a principal, or a connection where all are the same one. */
export class Sender {
  /** Waiting, running and reserved events. */
  pending = 0
  /** Their payload. */
  pendingBytes = 0
  /** Owned by the ready list. */
  head: Lane<Task> | null = null
  tail: Lane<Task> | null = null
  next: Sender | null = null
  inTurn = false

  constructor(readonly name: string) {}
}

/**
 * The lanes whose next task may run: round robin over the senders, and over the lanes of each. Whoever floods, be it over
 * thousands of sessions, waits for their own events; the others wait for one of theirs. Queueing allocates nothing.
 */
export class ReadyList<T extends Task> {
  /** Whose events were accepted before the start: as one, for they are not known any more. */
  readonly #nobody = new Sender('')
  #head: Sender | null = null
  #tail: Sender | null = null

  get empty(): boolean {
    return this.#head === null
  }

  /** Behind the other lanes of the one who sent its next task. */
  push(lane: Lane<T>): void {
    const sender = (lane.running ?? lane.head)?.sender ?? this.#nobody
    if (sender.tail === null) sender.head = lane
    else sender.tail.nextReady = lane
    sender.tail = lane
    if (!sender.inTurn) this.#append(sender)
  }

  shift(): Lane<T> | null {
    const sender = this.#head
    if (sender === null) return null
    const lane = sender.head!
    sender.head = lane.nextReady
    lane.nextReady = null
    if (sender.head === null) sender.tail = null
    this.#head = sender.next
    if (this.#head === null) this.#tail = null
    sender.next = null
    sender.inTurn = false
    if (sender.head !== null) this.#append(sender)
    return lane as Lane<T>
  }

  #append(sender: Sender): void {
    sender.inTurn = true
    if (this.#tail === null) this.#head = sender
    else this.#tail.next = sender
    this.#tail = sender
  }
}
