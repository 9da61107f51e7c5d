import type { Database } from 'better-sqlite3'
import type { DeadDelivery, DeliveryRecord, PendingDelivery } from './outbox.js'
import type { PeerRecord } from './peers.js'
import type { OutboxReads, Page, PeerPosition } from './reads.js'
import { type DeadDeliveryRow, deadDeliveryOf, deliveryOf, peerOf, type StoredDelivery } from './rows.js'
import type { PeerRow } from './store.js'

const DELIVERY = `id, seq, channel, peer, thread, session_key AS sessionKey, at, payload, trace,
  parts_sent AS partsSent, attempts`
const DEAD = `${DELIVERY}, error, died_at AS diedAt`
const PEER = `channel, peer, name, target_peer AS targetPeer, target_thread AS targetThread, code,
  requested_at AS requestedAt, expires_at AS expiresAt, approved_at AS approvedAt, approved_by AS approvedBy`

const prepare = (db: Database) => ({
  pending: db.prepare<unknown[], PendingDelivery>(
    'SELECT id, seq, channel, peer FROM outbox WHERE status = 0 AND seq > ? ORDER BY seq LIMIT ?',
  ),
  delivery: db.prepare<unknown[], StoredDelivery>(
    `SELECT ${DELIVERY} FROM outbox WHERE id = ? AND status = 0`,
  ),
  dead: db.prepare<unknown[], DeadDeliveryRow>(`SELECT ${DEAD} FROM outbox WHERE id = ? AND status = 1`),
  deadOnes: db.prepare<unknown[], DeadDeliveryRow>(
    `SELECT ${DEAD} FROM outbox WHERE status = 1 AND seq > ? ORDER BY seq LIMIT ?`,
  ),
  countDead: db.prepare<unknown[], { count: number; last: number | null }>(
    `SELECT count(*) AS count, max(seq) AS last
     FROM (SELECT seq FROM outbox WHERE status = 1 AND seq > ? ORDER BY seq LIMIT ?)`,
  ),
  oldestDeath: db
    .prepare<unknown[], number>('SELECT died_at FROM outbox WHERE status = 1 ORDER BY died_at LIMIT 1')
    .pluck(),
  peers: db.prepare<unknown[], PeerRow>(
    `SELECT ${PEER} FROM peers WHERE (channel, peer) > (?, ?) ORDER BY channel, peer LIMIT ?`,
  ),
})

const lastSeq = (rows: readonly { readonly seq: number }[], limit: number): number | null =>
  rows.length < limit ? null : (rows.at(-1)?.seq ?? null)

/** Reads of the outbox and the peers, on a connection of the caller's. */
export class SqliteOutboxReads implements OutboxReads {
  readonly #sql: ReturnType<typeof prepare>

  constructor(db: Database) {
    this.#sql = prepare(db)
  }

  pending(after: number, limit: number): Page<PendingDelivery, number> {
    const items = this.#sql.pending.all(after, limit)
    return { items, last: lastSeq(items, limit) }
  }

  delivery(id: string): DeliveryRecord | null {
    const row = this.#sql.delivery.get(id)
    return row === undefined ? null : deliveryOf(row)
  }

  dead(id: string): DeadDelivery | null {
    const row = this.#sql.dead.get(id)
    return row === undefined ? null : deadDeliveryOf(row)
  }

  deadOnes(
    after: number,
    limit: number,
    matches: (channel: string, sessionKey: string) => boolean,
  ): Page<DeadDelivery, number> {
    const rows = this.#sql.deadOnes.all(after, limit)
    const items = rows.filter((row) => matches(row.channel, row.sessionKey)).map(deadDeliveryOf)
    return { items, last: lastSeq(rows, limit) }
  }

  countDead(after: number, limit: number): Page<number, number> {
    const { count, last } = this.#sql.countDead.get(after, limit) ?? { count: 0, last: null }
    return { items: [count], last: count < limit ? null : last }
  }

  oldestDeath(): number | null {
    return this.#sql.oldestDeath.get() ?? null
  }

  peers(after: PeerPosition | null, limit: number): Page<PeerRecord, PeerPosition> {
    const rows = this.#sql.peers.all(after?.channel ?? '', after?.peer ?? '', limit)
    return { items: rows.map(peerOf), last: rows.length < limit ? null : (rows.at(-1) ?? null) }
  }
}
