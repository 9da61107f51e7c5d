import { performance } from 'node:perf_hooks'
import { failpoint } from '#failpoint'
import { GatewayError } from '../protocol/index.js'
import { BATCH_HEADER, type Cell, CellReader } from './cells.js'
import type { Engine } from './engine.js'
import type { JournalStats, StoredEntry } from './journal.js'
import type { Commit, PendingWrite } from './writes.js'

/** A larger batch would make its first writes wait for its last: about 20 ms. */
const BATCH_MAX_WRITES = 1_024
const BATCH_MAX_CHARS = 4 * 1024 * 1024

const DEFAULT_MAX_PENDING_CHARS = 128 * 1024 * 1024

/** As many writes go ahead to the engine while the turn that brings them goes on, so that both are at work. */
const FEED_WRITES = 16

/** A full queue of small writes takes the disk about this long. */
const RETRY_AFTER_MS = 1_000

export interface WriteQueueOptions {
  readonly engine: Engine
  readonly maxPendingWrites: number
  readonly maxPendingChars?: number
  readonly now: () => number
  readonly stats: JournalStats
  readonly observeCommit?: (seconds: number) => void
  /** Called with each commit's entries and the newest position, before its writes resolve. Must not throw. */
  readonly onCommit: (entries: readonly StoredEntry[], seq: number) => void
}

class Batch {
  /** Header and writes, without those that were fed to the engine before. */
  cells: Cell[] = [0, 0]
  fed = 0
  readonly writes: PendingWrite[] = []
  chars = 0
  /** When its writes were asked for, summed, in milliseconds. */
  askedAt = 0
  /** When the first of them was. */
  firstAskedAt = 0

  get full(): boolean {
    return this.writes.length >= BATCH_MAX_WRITES || this.chars >= BATCH_MAX_CHARS
  }
}

/** Groups commits: what arrives while one is on its way to the disk goes together into the next. */
export class WriteQueue {
  readonly #options: WriteQueueOptions
  readonly #batches: Batch[] = []
  #waitingWrites = 0
  #waitingChars = 0
  #inFlight = false
  #scheduled = false
  readonly #onIdle: (() => void)[] = []

  constructor(options: WriteQueueOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#waitingWrites
  }

  /** Fails the write at once where too much waits or the engine cannot write. */
  push(write: PendingWrite) {
    const refusal = this.#options.engine.refusal() ?? this.#overload()
    if (refusal !== null) return write.fail(refusal)
    const batch = this.#openBatch()
    const length = batch.cells.length
    try {
      const chars = write.encode(batch.cells)
      batch.chars += chars
      this.#waitingChars += chars
    } catch (error) {
      batch.cells.length = length
      return write.fail(error instanceof Error ? error : new Error(String(error)))
    }
    const now = performance.now()
    if (batch.writes.length === 0) batch.firstAskedAt = now
    batch.writes.push(write)
    batch.askedAt += now
    this.#waitingWrites += 1
    this.#schedule()
    if (batch.writes.length - batch.fed >= FEED_WRITES) this.#feed(batch)
  }

  /** Resolves once nothing waits. */
  idle(): Promise<void> {
    if (this.#waitingWrites === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  #overload(): GatewayError | null {
    const { maxPendingWrites, maxPendingChars = DEFAULT_MAX_PENDING_CHARS, stats } = this.#options
    if (this.#waitingWrites < maxPendingWrites && this.#waitingChars < maxPendingChars) return null
    stats.refused += 1
    return new GatewayError('UNAVAILABLE', 'Too many writes wait for the disk; try again later.', {
      retryAfterMs: RETRY_AFTER_MS,
    })
  }

  #openBatch(): Batch {
    const last = this.#batches.at(-1)
    if (last !== undefined && !last.full) return last
    const batch = new Batch()
    this.#batches.push(batch)
    return batch
  }

  /** Waits for the end of the turn, so that everything it brings goes into one commit. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #feed(batch: Batch): void {
    if (this.#inFlight || batch !== this.#batches[0]) return
    batch.cells[1] = this.#options.now()
    this.#options.engine.feed(batch.cells)
    failpoint('batch.fed')
    batch.cells = [0, 0]
    batch.fed = batch.writes.length
  }

  #send(): void {
    const batch = this.#inFlight ? undefined : this.#batches[0]
    if (batch === undefined || batch.writes.length === 0) return
    this.#batches.shift()
    this.#inFlight = true
    batch.cells[1] = this.#options.now()
    this.#options.engine.execute(batch.cells).then(
      (answer) => {
        this.#inFlight = false
        // First, so that the disk works while the callers of this batch go on.
        this.#send()
        this.#settle(batch, answer)
      },
      (error: Error) => {
        this.#inFlight = false
        this.#options.stats.failedCommits += 1
        this.#fail(batch, error)
        const refusal = this.#options.engine.refusal()
        if (refusal !== null) for (const waiting of this.#batches.splice(0)) this.#fail(waiting, refusal)
        this.#send()
      },
    )
    failpoint('batch.sent')
  }

  #settle(batch: Batch, answer: readonly Cell[]): void {
    const { stats, onCommit, observeCommit } = this.#options
    const results = new CellReader(answer, BATCH_HEADER)
    const commit: Commit = { entries: [], stats }
    for (const write of batch.writes) write.take(results, commit)
    stats.commits += 1
    const now = performance.now()
    stats.commitSeconds += (batch.writes.length * now - batch.askedAt) / 1_000
    observeCommit?.((now - batch.firstAskedAt) / 1_000)
    failpoint('batch.publishing')
    onCommit(commit.entries, answer[1] as number)
    failpoint('batch.published')
    for (const write of batch.writes) write.finish()
    failpoint('batch.settled')
    this.#leave(batch)
  }

  #fail(batch: Batch, error: Error): void {
    for (const write of batch.writes) write.fail(error)
    this.#leave(batch)
  }

  #leave(batch: Batch): void {
    this.#waitingWrites -= batch.writes.length
    this.#waitingChars -= batch.chars
    if (this.#waitingWrites === 0) for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}
