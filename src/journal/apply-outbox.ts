import {
  type ApplyContext,
  flag,
  insertDeliveries,
  insertEntry,
  takeDeliveries,
  takeEntries,
} from './apply-parts.js'
import { type Cell, type CellReader, RESULT, WRITE } from './cells.js'

/**
 * Under which the keys of a session's deliveries are stored, apart from those of its events: no session key has a blank. They
 * outlive the session, as what was said to the platform does.
 */
export const sendScope = (sessionKey: string): string => `send ${sessionKey}`

/** Does a write of the outbox or the peers, whose kind was read. */
export function applyOutboxWrite(kind: number, context: ApplyContext, cells: CellReader, results: Cell[]) {
  const { store } = context
  const { outbox } = store
  switch (kind) {
    case WRITE.enqueue:
      insertDeliveries(store, takeDeliveries(cells))
      return flag(results, true)
    case WRITE.enqueueOnce:
      return enqueueOnce(context, cells, results)
    case WRITE.partsSent:
      return flag(results, outbox.setParts(cells.string(), cells.number()))
    case WRITE.delivered:
      return flag(results, outbox.remove(cells.string()))
    case WRITE.undeliverable:
      return bury(context, cells, results)
    case WRITE.reviveDelivery:
      return revive(context, cells, results)
    case WRITE.discardDelivery:
      return flag(results, outbox.discard(cells.string()))
    case WRITE.savePeer:
      return savePeer(context, cells, results)
    case WRITE.removePeer:
      return flag(results, outbox.removePeer(cells.string(), cells.string()))
    default:
      throw new RangeError(`unknown kind of write: ${kind}`)
  }
}

function enqueueOnce({ store, now, idempotencyWindowMs }: ApplyContext, cells: CellReader, results: Cell[]) {
  const key = cells.string()
  const digest = cells.string()
  const deliveries = takeDeliveries(cells)
  const { id, sessionKey } = deliveries[0]!
  const scope = sendScope(sessionKey)
  const known = store.findKey(scope, key)
  if (known !== undefined && known.at > now - idempotencyWindowMs) {
    results.push(RESULT.duplicate, 0, known.id, known.digest)
    return
  }
  insertDeliveries(store, deliveries)
  store.putKey(scope, key, { id, seq: store.lastSeq, digest, at: now })
  flag(results, true)
}

function bury({ store, now }: ApplyContext, cells: CellReader, results: Cell[]) {
  const id = cells.string()
  const error = cells.string()
  const attempts = cells.number()
  const entries = takeEntries(cells)
  if (!store.outbox.bury(id, error, attempts, now)) return flag(results, false)
  const first = store.lastSeq + 1
  for (const entry of entries) insertEntry(store, entry)
  results.push(RESULT.done, first)
}

function revive({ store }: ApplyContext, cells: CellReader, results: Cell[]) {
  const seq = store.lastSeq + 1
  const revived = store.outbox.revive(cells.string(), seq)
  if (revived === undefined) return flag(results, false)
  store.lastSeq = seq
  results.push(RESULT.done, seq, revived.channel, revived.peer)
}

function savePeer({ store }: ApplyContext, cells: CellReader, results: Cell[]) {
  store.outbox.putPeer({
    channel: cells.string(),
    peer: cells.string(),
    name: cells.nullable(),
    targetPeer: cells.string(),
    targetThread: cells.nullable(),
    code: cells.string(),
    requestedAt: cells.number(),
    expiresAt: cells.number(),
    approvedAt: cells.nullableNumber(),
    approvedBy: cells.nullable(),
  })
  flag(results, true)
}
