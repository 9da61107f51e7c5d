import type { ErrorShape } from '../protocol/index.js'
import { type Cell, type CellReader, encodePlain, RESULT, WRITE } from './cells.js'
import type { Entry } from './journal.js'
import type { NewDelivery, PendingDelivery, SendKey, SentBefore } from './outbox.js'
import { encodeEnqueue, encodeEnqueueOnce, encodeUndeliverable } from './outbox-cells.js'
import type { PeerRecord } from './peers.js'
import { LoggedWrite, PlainWrite, Write } from './writes.js'

export class EnqueueWrite extends Write<void> {
  readonly #deliveries: readonly NewDelivery[]

  constructor(deliveries: readonly NewDelivery[]) {
    super()
    this.#deliveries = deliveries
  }

  encode(cells: Cell[]): number {
    return encodeEnqueue(cells, this.#deliveries)
  }

  protected decode(): void {}
}

export class EnqueueOnceWrite extends Write<SentBefore | null> {
  readonly #delivery: NewDelivery
  readonly #once: SendKey

  constructor(delivery: NewDelivery, once: SendKey) {
    super()
    this.#delivery = delivery
    this.#once = once
  }

  encode(cells: Cell[]): number {
    return encodeEnqueueOnce(cells, this.#delivery, this.#once)
  }

  protected decode(status: number, _first: number, results: CellReader): SentBefore | null {
    return status === RESULT.duplicate ? { id: results.string(), digest: results.string() } : null
  }
}

export class UndeliverableWrite extends LoggedWrite {
  readonly #id: string
  readonly #error: ErrorShape
  readonly #attempts: number

  constructor(id: string, error: ErrorShape, attempts: number, entries: readonly Entry[]) {
    super(entries)
    this.#id = id
    this.#error = error
    this.#attempts = attempts
  }

  encode(cells: Cell[]): number {
    return encodeUndeliverable(cells, this.#id, this.#error, this.#attempts, this.entries)
  }
}

export class ReviveDeliveryWrite extends Write<PendingDelivery | null> {
  readonly #id: string

  constructor(id: string) {
    super()
    this.#id = id
  }

  encode(cells: Cell[]): number {
    return encodePlain(cells, WRITE.reviveDelivery, [this.#id])
  }

  protected decode(status: number, seq: number, results: CellReader): PendingDelivery | null {
    if (status === RESULT.refused) return null
    return { id: this.#id, seq, channel: results.string(), peer: results.string() }
  }
}

/** The values in the order in which `apply-outbox.ts` takes them. */
export function savePeerWrite({ target, ...record }: PeerRecord): PlainWrite {
  const { channel, peer, name, code, requestedAt, expiresAt, approvedAt, approvedBy } = record
  const values = [name, target.peer, target.thread, code, requestedAt, expiresAt, approvedAt, approvedBy]
  return new PlainWrite(WRITE.savePeer, channel, peer, ...values)
}
