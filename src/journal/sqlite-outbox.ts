import type { Database } from 'better-sqlite3'
import type { DeliveryRow, OutboxStore, PeerRow } from './store.js'

const prepare = (db: Database) => ({
  insert: db.prepare(
    `INSERT INTO outbox (seq, id, status, channel, peer, thread, session_key, at, parts_sent, attempts, payload, trace)
     VALUES (?, ?, 0, ?, ?, ?, ?, ?, 0, 0, ?, ?) ON CONFLICT (id) DO NOTHING`,
  ),
  setParts: db.prepare('UPDATE outbox SET parts_sent = ? WHERE id = ? AND status = 0'),
  remove: db.prepare('DELETE FROM outbox WHERE id = ? AND status = 0'),
  bury: db.prepare(
    'UPDATE outbox SET status = 1, error = ?, attempts = ?, died_at = ? WHERE id = ? AND status = 0',
  ),
  revive: db.prepare<unknown[], Pick<DeliveryRow, 'channel' | 'peer'>>(
    `UPDATE outbox SET status = 0, seq = ?, error = NULL, attempts = 0, died_at = NULL
     WHERE id = ? AND status = 1 RETURNING channel, peer`,
  ),
  discard: db.prepare('DELETE FROM outbox WHERE id = ? AND status = 1'),
  removeDead: db.prepare('DELETE FROM outbox WHERE status = 1 AND session_key = ?'),
  putPeer: db.prepare(
    `INSERT OR REPLACE INTO peers (channel, peer, name, target_peer, target_thread, code,
       requested_at, expires_at, approved_at, approved_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  removePeer: db.prepare('DELETE FROM peers WHERE channel = ? AND peer = ?'),
})

/** The write side of the outbox and the peers; the caller begins and ends the transactions. */
export class SqliteOutbox implements OutboxStore {
  readonly #sql: ReturnType<typeof prepare>

  constructor(db: Database) {
    this.#sql = prepare(db)
  }

  insert(seq: number, row: DeliveryRow): void {
    const { id, channel, peer, thread, sessionKey, at, payload, trace } = row
    this.#sql.insert.run(seq, id, channel, peer, thread, sessionKey, at, payload, trace)
  }

  setParts(id: string, parts: number): boolean {
    return this.#sql.setParts.run(parts, id).changes === 1
  }

  remove(id: string): boolean {
    return this.#sql.remove.run(id).changes === 1
  }

  bury(id: string, error: string, attempts: number, now: number): boolean {
    return this.#sql.bury.run(error, attempts, now, id).changes === 1
  }

  revive(id: string, seq: number): Pick<DeliveryRow, 'channel' | 'peer'> | undefined {
    return this.#sql.revive.get(seq, id)
  }

  discard(id: string): boolean {
    return this.#sql.discard.run(id).changes === 1
  }

  removeDead(sessionKey: string): void {
    this.#sql.removeDead.run(sessionKey)
  }

  putPeer(row: PeerRow): void {
    const { channel, peer, name, targetPeer, targetThread, code } = row
    const { requestedAt, expiresAt, approvedAt, approvedBy } = row
    const who = [channel, peer, name, targetPeer, targetThread, code]
    this.#sql.putPeer.run(...who, requestedAt, expiresAt, approvedAt, approvedBy)
  }

  removePeer(channel: string, peer: string): boolean {
    return this.#sql.removePeer.run(channel, peer).changes === 1
  }
}
