import { packTrace } from '../tracing/trace-context.js'
import type { AppendRequest, CompleteRequest, Entry, SessionRecord } from './journal.js'
import type { NewDelivery } from './outbox.js'
import { type SessionRow, STATUS } from './store.js'

/**
 * A batch of writes crosses to the writer's thread, and its results come back, as one flat array of primitives: cloning
 * objects costs more than the rest of the way.
 */
export type Cell = string | number | null

/**
 * The cells before the first write of a batch (what is asked, and the time) and before the first result of its answer
 * (done, and the newest position).
 */
export const BATCH_HEADER = 2

/** The kinds of write. Each is laid out as kind, number of cells after these two, then its own cells. */
export const WRITE = {
  append: 0,
  complete: 1,
  save: 2,
  remove: 3,
  revive: 4,
  discard: 5,
  enqueue: 6,
  partsSent: 7,
  delivered: 8,
  undeliverable: 9,
  reviveDelivery: 10,
  discardDelivery: 11,
  savePeer: 12,
  removePeer: 13,
  saveDocuments: 14,
  removeDocument: 15,
  enqueueOnce: 16,
} as const

const NONE: readonly NewDelivery[] = []

/** How a write went: the first cell of its result. The second is the position of its first entry. */
export const RESULT = {
  refused: 0,
  done: 1,
  /** An append that stored its session. */
  created: 2,
  /** Followed by the first one's id, position and digest. */
  duplicate: 3,
  /** Followed by a message: this write is at fault, not the disk. */
  error: 4,
} as const

export class CellReader {
  position: number
  readonly #cells: readonly Cell[]

  constructor(cells: readonly Cell[], position: number) {
    this.#cells = cells
    this.position = position
  }

  get done(): boolean {
    return this.position >= this.#cells.length
  }

  number(): number {
    return this.#cells[this.position++] as number
  }

  string(): string {
    return this.#cells[this.position++] as string
  }

  nullable(): string | null {
    return this.#cells[this.position++] as string | null
  }

  nullableNumber(): number | null {
    return this.#cells[this.position++] as number | null
  }
}

/** Writes the kind, leaves room for the size; returns where that is. */
export const begin = (cells: Cell[], kind: number): number => cells.push(kind, 0) - 1

export const end = (cells: Cell[], size: number) => {
  cells[size] = cells.length - size - 1
}

/** Returns the length of the text. */
function putEntry(cells: Cell[], entry: Entry): number {
  cells.push(entry.event, entry.sessionKey, entry.at, entry.payload)
  return entry.payload.length
}

export function putEntries(cells: Cell[], entries: readonly Entry[]): number {
  cells.push(entries.length)
  let chars = 0
  for (const entry of entries) chars += putEntry(cells, entry)
  return chars
}

/** Returns the length of the text. */
export function putDeliveries(cells: Cell[], deliveries: readonly NewDelivery[]): number {
  cells.push(deliveries.length)
  let chars = 0
  for (const delivery of deliveries) {
    const { id, channel, peer, thread, sessionKey, at, content } = delivery
    const payload = JSON.stringify(content)
    cells.push(id, channel, peer, thread, sessionKey, at, payload, packTrace(delivery))
    chars += payload.length
  }
  return chars
}

function putSession(cells: Cell[], record: SessionRecord): number {
  const metadata = JSON.stringify(record.metadata)
  cells.push(record.key, record.channel, record.title, record.agent, metadata, record.paused ? 1 : 0)
  cells.push(record.queueMode, record.createdAt, record.updatedAt, record.resetSeq)
  return metadata.length
}

export function readSession(cells: CellReader): SessionRow {
  return {
    key: cells.string(),
    channel: cells.string(),
    title: cells.nullable(),
    agent: cells.nullable(),
    metadata: cells.string(),
    paused: cells.number(),
    queueMode: cells.nullable(),
    createdAt: cells.number(),
    updatedAt: cells.number(),
    resetSeq: cells.number(),
  }
}

/** Each of these adds one write to `cells` and returns the length of its text, which is what bounds a batch. */
export function encodeAppend(cells: Cell[], request: AppendRequest, id: string): number {
  const size = begin(cells, WRITE.append)
  const { event, create } = request
  const payload = request.payload ?? JSON.stringify(event.payload)
  cells.push(id, event.sessionKey, event.type, event.source, event.at, event.priority, payload)
  cells.push(event.idempotencyKey ?? null, packTrace(event), request.digest ?? null)
  let chars = payload.length + putEntries(cells, request.entries)
  if (create) {
    cells.push(1)
    chars += putSession(cells, create.record) + putEntry(cells, create.entry)
  } else {
    cells.push(0)
  }
  end(cells, size)
  return chars
}

/** `mergedInto` is the suffix of a run id. */
export function encodeComplete(
  cells: Cell[],
  request: CompleteRequest,
  ids: readonly string[],
  mergedInto: string | null,
): number {
  const size = begin(cells, WRITE.complete)
  const error = request.error === null ? null : JSON.stringify(request.error)
  cells.push(request.lease.sessionKey, STATUS[request.status], request.attempts, error, mergedInto)
  cells.push(ids.length, ...ids)
  const chars = putEntries(cells, request.entries) + putDeliveries(cells, request.deliveries ?? NONE)
  end(cells, size)
  return chars + (error?.length ?? 0)
}

export function encodeSave(
  cells: Cell[],
  record: SessionRecord,
  reset: boolean,
  entries: readonly Entry[],
): number {
  const size = begin(cells, WRITE.save)
  const chars = putSession(cells, record)
  cells.push(reset ? 1 : 0)
  const total = chars + putEntries(cells, entries)
  end(cells, size)
  return total
}

export function encodeRemove(cells: Cell[], key: string, entries: readonly Entry[]): number {
  const size = begin(cells, WRITE.remove)
  cells.push(key)
  const chars = putEntries(cells, entries)
  end(cells, size)
  return chars
}

/** A write that is nothing but short values. */
export function encodePlain(cells: Cell[], kind: number, values: readonly Cell[]): number {
  const size = begin(cells, kind)
  cells.push(...values)
  end(cells, size)
  return 0
}
