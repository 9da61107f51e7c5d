import { failpoint } from '#failpoint'
import type { EventName } from '../protocol/index.js'
import { removeDocument, saveDocuments } from './apply-documents.js'
import { applyOutboxWrite } from './apply-outbox.js'
import {
  type ApplyContext,
  flag,
  insertDeliveries,
  insertEntry,
  takeDeliveries,
  takeEntries,
  takeEntry,
} from './apply-parts.js'
import { type Cell, CellReader, RESULT, readSession, WRITE } from './cells.js'
import type { EndRow } from './store.js'

/** The entries that are kept as long as their session (spec §3). */
export const MESSAGE_EVENT: EventName = 'session.message'

/** Does the writes of a batch that begins at `cells[from]`, in order, and adds a result for each. */
export function applyBatch(context: ApplyContext, cells: readonly Cell[], from: number, results: Cell[]) {
  const reader = new CellReader(cells, from)
  while (!reader.done) {
    applyWrite(context, reader, results)
    failpoint('batch.written')
  }
}

/** Does the one write that `cells` stands before. */
export function applyWrite(context: ApplyContext, cells: CellReader, results: Cell[]) {
  const kind = cells.number()
  cells.number()
  switch (kind) {
    case WRITE.append:
      return append(context, cells, results)
    case WRITE.complete:
      return complete(context, cells, results)
    case WRITE.save:
      return save(context, cells, results)
    case WRITE.remove:
      return remove(context, cells, results)
    case WRITE.revive:
      return flag(results, context.store.reviveEvent(cells.string()))
    case WRITE.discard:
      return flag(results, context.store.discardEvent(cells.string(), context.now))
    case WRITE.saveDocuments:
      return saveDocuments(context, cells, results)
    case WRITE.removeDocument:
      return removeDocument(context, cells, results)
    default:
      return applyOutboxWrite(kind, context, cells, results)
  }
}

function append(context: ApplyContext, cells: CellReader, results: Cell[]) {
  const { store, now } = context
  const row = {
    id: cells.string(),
    seq: 0,
    sessionKey: cells.string(),
    type: cells.string(),
    source: cells.string(),
    at: cells.number(),
    priority: cells.string(),
    payload: cells.string(),
    idempotencyKey: cells.nullable(),
    trace: cells.nullable(),
  }
  const digest = cells.nullable()
  const { id, sessionKey, idempotencyKey } = row
  const entries = takeEntries(cells)
  const record = cells.number() === 1 ? readSession(cells) : null
  const createEntry = record === null ? null : takeEntry(cells)

  if (idempotencyKey !== null) {
    const known = store.findKey(sessionKey, idempotencyKey)
    if (known !== undefined && known.at > now - context.idempotencyWindowMs) {
      results.push(RESULT.duplicate, 0, known.id, known.seq, known.digest)
      return
    }
  }
  const creates = record !== null && !store.hasSession(record.key)
  const first = store.lastSeq + 1
  const seq = first + (creates ? 1 : 0) + Math.max(entries.length, 1) - 1
  row.seq = seq
  if (!store.insertEvent(row)) {
    results.push(RESULT.error, 0, `an event of the id evt_${id} is stored already`)
    return
  }
  if (creates) {
    store.insertSession(record, id)
    if (createEntry) insertEntry(store, createEntry)
  }
  for (const entry of entries) insertEntry(store, entry)
  store.lastSeq = seq
  store.touchSession(sessionKey, row.at)
  if (idempotencyKey !== null) store.putKey(sessionKey, idempotencyKey, { id, seq, digest, at: now })
  results.push(creates ? RESULT.created : RESULT.done, first)
}

function complete({ store, now }: ApplyContext, cells: CellReader, results: Cell[]) {
  const sessionKey = cells.string()
  const status = cells.number()
  const attempts = cells.number()
  const error = cells.nullable()
  const mergedInto = cells.nullable()
  const ids: string[] = []
  for (let count = cells.number(); count > 0; count--) ids.push(cells.string())
  const entries = takeEntries(cells)
  const deliveries = takeDeliveries(cells)

  const reply = entries.findIndex((entry) => entry.event === MESSAGE_EVENT)
  const first = store.lastSeq + 1
  const replySeq = reply < 0 ? null : first + reply
  // The last one's own check is part of ending it: for the usual outcome of one event no look-up comes before.
  const waiting = ids.slice(0, -1).every((id) => store.isPending(id, sessionKey))
  const last = ids.at(-1)
  const own: EndRow = { status, attempts, error, replySeq, mergedInto: null, doneAt: now }
  const merged = { ...own, mergedInto }
  const end = (id: string) => store.endEvent(id, sessionKey, id === mergedInto ? own : merged)
  if (!waiting || last === undefined || !end(last)) return flag(results, false)
  for (const id of ids.slice(0, -1)) end(id)
  for (const entry of entries) insertEntry(store, entry)
  insertDeliveries(store, deliveries)
  results.push(RESULT.done, first)
}

function save({ store, now }: ApplyContext, cells: CellReader, results: Cell[]) {
  const row = readSession(cells)
  const reset = cells.number() === 1
  const entries = takeEntries(cells)
  const before = store.lastSeq
  const resetSeq = store.putSession(reset ? { ...row, resetSeq: before } : row)
  if (reset) store.expireMessages(row.key, now)
  for (const entry of entries) insertEntry(store, entry)
  results.push(RESULT.done, before + 1, resetSeq)
}

function remove({ store }: ApplyContext, cells: CellReader, results: Cell[]) {
  const key = cells.string()
  const entries = takeEntries(cells)
  if (!store.removeSession(key)) return flag(results, false)
  store.outbox.removeDead(key)
  const first = store.lastSeq + 1
  for (const entry of entries) insertEntry(store, entry)
  results.push(RESULT.done, first)
}
