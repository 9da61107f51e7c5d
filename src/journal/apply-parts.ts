import { type Cell, type CellReader, RESULT } from './cells.js'
import type { Entry } from './journal.js'
import type { DeliveryRow, Store } from './store.js'

export interface ApplyContext {
  readonly store: Store
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  readonly idempotencyWindowMs: number
}

/** The result of a write that was done or refused, and has no entries. */
export const flag = (results: Cell[], done: boolean) => {
  results.push(done ? RESULT.done : RESULT.refused, 0)
}

export const takeEntry = (cells: CellReader): Entry => ({
  event: cells.string(),
  sessionKey: cells.nullable(),
  at: cells.number(),
  payload: cells.string(),
})

export function takeEntries(cells: CellReader): Entry[] {
  const entries: Entry[] = []
  for (let count = cells.number(); count > 0; count--) entries.push(takeEntry(cells))
  return entries
}

export function insertEntry(store: Store, { event, sessionKey, at, payload }: Entry): void {
  store.insertEntry(++store.lastSeq, event, sessionKey, at, payload)
}

export function takeDeliveries(cells: CellReader): DeliveryRow[] {
  const rows: DeliveryRow[] = []
  for (let count = cells.number(); count > 0; count--) {
    rows.push({
      id: cells.string(),
      channel: cells.string(),
      peer: cells.string(),
      thread: cells.nullable(),
      sessionKey: cells.string(),
      at: cells.number(),
      payload: cells.string(),
      trace: cells.nullable(),
    })
  }
  return rows
}

/** They are placed behind everything that was written before. */
export function insertDeliveries(store: Store, rows: readonly DeliveryRow[]): void {
  for (const row of rows) store.outbox.insert(++store.lastSeq, row)
}
