import { compareText } from './order.js'
import type { DeadDelivery, DeliveryRecord, PendingDelivery } from './outbox.js'
import type { PeerRecord } from './peers.js'
import type { OutboxReads, Page, PeerPosition } from './reads.js'
import { type DeadDeliveryRow, deadDeliveryOf, deliveryOf, peerOf } from './rows.js'
import type { DeliveryRow, OutboxStore, PeerRow } from './store.js'

/** `diedAt` null: it waits. */
type MemoryDelivery = Omit<DeadDeliveryRow, 'error' | 'diedAt'> & {
  readonly error: string | null
  readonly diedAt: number | null
}

const comparePeers = (a: PeerPosition, b: PeerPosition) =>
  compareText(a.channel, b.channel) || compareText(a.peer, b.peer)

const isDead = (row: MemoryDelivery | undefined): row is MemoryDelivery & DeadDeliveryRow =>
  row !== undefined && row.diedAt !== null

/** The tables `outbox` and `peers` of the SQLite journal as maps. */
export class MemoryOutbox implements OutboxStore, OutboxReads {
  /** In order of `seq`. */
  readonly #rows = new Map<string, MemoryDelivery>()
  readonly #peers = new Map<string, PeerRow>()

  insert(seq: number, row: DeliveryRow): void {
    if (this.#rows.has(row.id)) return
    this.#rows.set(row.id, { ...row, seq, partsSent: 0, attempts: 0, error: null, diedAt: null })
  }

  setParts(id: string, partsSent: number): boolean {
    return this.#change(id, { partsSent })
  }

  remove(id: string): boolean {
    return this.#waiting(id) !== undefined && this.#rows.delete(id)
  }

  bury(id: string, error: string, attempts: number, now: number): boolean {
    return this.#change(id, { error, attempts, diedAt: now })
  }

  revive(id: string, seq: number): Pick<DeliveryRow, 'channel' | 'peer'> | undefined {
    const row = this.#rows.get(id)
    if (!isDead(row)) return undefined
    this.#rows.delete(id)
    this.#rows.set(id, { ...row, seq, attempts: 0, error: null, diedAt: null })
    return row
  }

  discard(id: string): boolean {
    return isDead(this.#rows.get(id)) && this.#rows.delete(id)
  }

  removeDead(sessionKey: string): void {
    for (const row of this.#rows.values()) {
      if (row.sessionKey === sessionKey && isDead(row)) this.#rows.delete(row.id)
    }
  }

  putPeer(row: PeerRow): void {
    this.#peers.set(JSON.stringify([row.channel, row.peer]), row)
  }

  removePeer(channel: string, peer: string): boolean {
    return this.#peers.delete(JSON.stringify([channel, peer]))
  }

  pending(): Page<PendingDelivery, number> {
    const waiting = [...this.#rows.values()].filter((row) => !isDead(row))
    return { items: waiting.map(({ id, seq, channel, peer }) => ({ id, seq, channel, peer })), last: null }
  }

  delivery(id: string): DeliveryRecord | null {
    const row = this.#waiting(id)
    return row === undefined ? null : deliveryOf(row)
  }

  dead(id: string): DeadDelivery | null {
    const row = this.#rows.get(id)
    return isDead(row) ? deadDeliveryOf(row) : null
  }

  deadOnes(
    after: number,
    limit: number,
    matches: (channel: string, sessionKey: string) => boolean,
  ): Page<DeadDelivery, number> {
    const rows = this.#dead(after).slice(0, limit)
    const items = rows.filter((row) => matches(row.channel, row.sessionKey)).map(deadDeliveryOf)
    return { items, last: rows.length < limit ? null : (rows.at(-1)?.seq ?? null) }
  }

  countDead(after: number): Page<number, number> {
    return { items: [this.#dead(after).length], last: null }
  }

  oldestDeath(): number | null {
    const times = this.#dead(0).map(({ diedAt }) => diedAt)
    return times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b))
  }

  peers(): Page<PeerRecord, PeerPosition> {
    return { items: [...this.#peers.values()].sort(comparePeers).map(peerOf), last: null }
  }

  #waiting(id: string): MemoryDelivery | undefined {
    const row = this.#rows.get(id)
    return isDead(row) ? undefined : row
  }

  /** Of one that waits. */
  #change(id: string, changes: Partial<MemoryDelivery>): boolean {
    const row = this.#waiting(id)
    if (row === undefined) return false
    this.#rows.set(id, { ...row, ...changes })
    return true
  }

  #dead(after: number): (MemoryDelivery & DeadDeliveryRow)[] {
    return [...this.#rows.values()].filter(isDead).filter(({ seq }) => seq > after)
  }
}
