import type { ErrorShape } from '../protocol/index.js'
import { begin, type Cell, end, putDeliveries, putEntries, WRITE } from './cells.js'
import type { Entry } from './journal.js'
import type { NewDelivery, SendKey } from './outbox.js'

/** Each of these adds one write to `cells` and returns the length of its text, as those in `cells.ts` do. */
export function encodeEnqueue(cells: Cell[], deliveries: readonly NewDelivery[]): number {
  const size = begin(cells, WRITE.enqueue)
  const chars = putDeliveries(cells, deliveries)
  end(cells, size)
  return chars
}

export function encodeEnqueueOnce(cells: Cell[], delivery: NewDelivery, { key, digest }: SendKey): number {
  const size = begin(cells, WRITE.enqueueOnce)
  cells.push(key, digest)
  const chars = putDeliveries(cells, [delivery])
  end(cells, size)
  return chars
}

export function encodeUndeliverable(
  cells: Cell[],
  id: string,
  error: ErrorShape,
  attempts: number,
  entries: readonly Entry[],
): number {
  const size = begin(cells, WRITE.undeliverable)
  const text = JSON.stringify(error)
  cells.push(id, text, attempts)
  const chars = putEntries(cells, entries)
  end(cells, size)
  return chars + text.length
}
