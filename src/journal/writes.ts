import {
  type Cell,
  type CellReader,
  encodeAppend,
  encodeComplete,
  encodePlain,
  encodeRemove,
  encodeSave,
  RESULT,
} from './cells.js'
import { idsOfSuffix } from './ids.js'
import type {
  AppendRequest,
  AppendResult,
  CompleteRequest,
  Entry,
  JournalStats,
  SessionRecord,
  StoredEntry,
} from './journal.js'

/** What the writes of a commit add up to. */
export interface Commit {
  readonly entries: StoredEntry[]
  readonly stats: JournalStats
}

/** A write on its way: goes out as cells, and takes its result from the cells that come back. */
export interface PendingWrite {
  /** Adds itself to a batch; returns the length of its text. */
  encode(cells: Cell[]): number
  /** Takes its result; its promise settles only with `finish`, once those who watch have seen the commit. */
  take(results: CellReader, commit: Commit): void
  finish(): void
  fail(error: Error): void
}

export abstract class Write<T> implements PendingWrite {
  readonly promise: Promise<T>
  #resolve!: (value: T) => void
  #reject!: (error: Error) => void
  #value: T | undefined
  #error: Error | undefined

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  abstract encode(cells: Cell[]): number
  protected abstract decode(status: number, first: number, results: CellReader, commit: Commit): T

  take(results: CellReader, commit: Commit): void {
    const status = results.number()
    const first = results.number()
    if (status === RESULT.error) this.#error = new Error(`journal write refused: ${results.string()}`)
    else this.#value = this.decode(status, first, results, commit)
  }

  finish(): void {
    if (this.#error === undefined) this.#resolve(this.#value as T)
    else this.#reject(this.#error)
  }

  fail(error: Error): void {
    this.#reject(error)
  }
}

export function addEntries(commit: Commit, first: number, entries: readonly Entry[]): void {
  let seq = first
  for (const { event, sessionKey, at, payload } of entries) {
    commit.entries.push({ seq: seq++, event, sessionKey, at, payload })
  }
}

export class AppendWrite extends Write<AppendResult> {
  readonly #request: AppendRequest
  readonly #id: string

  constructor(request: AppendRequest, id: string) {
    super()
    this.#request = request
    this.#id = id
  }

  encode(cells: Cell[]): number {
    return encodeAppend(cells, this.#request, this.#id)
  }

  protected decode(status: number, first: number, results: CellReader, commit: Commit): AppendResult {
    if (status === RESULT.duplicate) {
      const ids = idsOfSuffix(results.string())
      return { duplicate: { ...ids, seq: results.number(), digest: results.nullable() }, seq: null }
    }
    commit.stats.appended += 1
    const { entries, create } = this.#request
    let next = first
    if (status === RESULT.created && create) addEntries(commit, next++, [create.entry])
    addEntries(commit, next, entries)
    return { duplicate: null, seq: next + Math.max(entries.length, 1) - 1 }
  }
}

export class CompleteWrite extends Write<boolean> {
  readonly #request: CompleteRequest
  readonly #ids: readonly string[]
  readonly #mergedInto: string | null

  constructor(request: CompleteRequest, ids: readonly string[], mergedInto: string | null) {
    super()
    this.#request = request
    this.#ids = ids
    this.#mergedInto = mergedInto
  }

  encode(cells: Cell[]): number {
    return encodeComplete(cells, this.#request, this.#ids, this.#mergedInto)
  }

  protected decode(status: number, first: number, _results: CellReader, commit: Commit): boolean {
    if (status === RESULT.refused) return false
    commit.stats.completed += this.#ids.length
    addEntries(commit, first, this.#request.entries)
    return true
  }
}

export class SaveWrite extends Write<SessionRecord> {
  readonly #record: SessionRecord
  readonly #reset: boolean
  readonly #entries: readonly Entry[]

  constructor(record: SessionRecord, reset: boolean, entries: readonly Entry[]) {
    super()
    this.#record = record
    this.#reset = reset
    this.#entries = entries
  }

  encode(cells: Cell[]): number {
    return encodeSave(cells, this.#record, this.#reset, this.#entries)
  }

  protected decode(_status: number, first: number, results: CellReader, commit: Commit): SessionRecord {
    addEntries(commit, first, this.#entries)
    return { ...this.#record, resetSeq: results.number() }
  }
}

/** A write that is done, and logs its entries, or is refused. */
export abstract class LoggedWrite extends Write<boolean> {
  protected readonly entries: readonly Entry[]

  constructor(entries: readonly Entry[]) {
    super()
    this.entries = entries
  }

  protected decode(status: number, first: number, _results: CellReader, commit: Commit): boolean {
    if (status === RESULT.refused) return false
    addEntries(commit, first, this.entries)
    return true
  }
}

export class RemoveWrite extends LoggedWrite {
  readonly #key: string

  constructor(key: string, entries: readonly Entry[]) {
    super(entries)
    this.#key = key
  }

  encode(cells: Cell[]): number {
    return encodeRemove(cells, this.#key, this.entries)
  }
}

/** A write of a few short values that is done or refused. */
export class PlainWrite extends Write<boolean> {
  readonly #kind: number
  readonly #values: readonly Cell[]

  constructor(kind: number, ...values: readonly Cell[]) {
    super()
    this.#kind = kind
    this.#values = values
  }

  encode(cells: Cell[]): number {
    return encodePlain(cells, this.#kind, this.#values)
  }

  protected decode(status: number): boolean {
    return status === RESULT.done
  }
}
