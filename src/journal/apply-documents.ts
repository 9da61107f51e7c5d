import { type ApplyContext, flag, insertEntry, takeEntries } from './apply-parts.js'
import { type Cell, type CellReader, RESULT } from './cells.js'

export function saveDocuments({ store }: ApplyContext, cells: CellReader, results: Cell[]) {
  for (let count = cells.number(); count > 0; count--) {
    store.documents.put({
      kind: cells.string(),
      id: cells.string(),
      subject: cells.nullable(),
      at: cells.number(),
      expiresAt: cells.nullableNumber(),
      body: cells.string(),
    })
  }
  const first = store.lastSeq + 1
  for (const entry of takeEntries(cells)) insertEntry(store, entry)
  results.push(RESULT.done, first)
}

export function removeDocument({ store }: ApplyContext, cells: CellReader, results: Cell[]) {
  const removed = store.documents.remove(cells.string(), cells.string())
  const entries = takeEntries(cells)
  if (!removed) return flag(results, false)
  const first = store.lastSeq + 1
  for (const entry of entries) insertEntry(store, entry)
  results.push(RESULT.done, first)
}
