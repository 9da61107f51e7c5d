import { parentPort, workerData } from 'node:worker_threads'
import type { Database, Statement } from 'better-sqlite3'
import { type ApplyContext, applyBatch, applyWrite } from './apply.js'
import { BATCH_HEADER, type Cell, CellReader, RESULT } from './cells.js'
import type { MaintenanceStep } from './maintenance.js'
import { Sqlite } from './sqlite-driver.js'
import { errorCode, isOwnFault } from './sqlite-errors.js'
import { SqliteMaintenance } from './sqlite-maintenance.js'
import { ANSWER, ASK, type WriterData } from './sqlite-protocol.js'
import { SqliteStore } from './sqlite-store.js'

const CACHE_KIB = 32 * 1024
/** Pages in the write-ahead log before it is moved into the database: few, and hot pages are written over and over. */
const CHECKPOINT_PAGES = 4_000
/** The log is cut back to this after a burst or a long reader made it longer. */
const LOG_MAX_BYTES = 64 * 1024 * 1024
const BUSY_TIMEOUT_MS = 2_000
/** Large enough that a disk which takes it takes the next writes too. */
const PROBE_BYTES = 256 * 1024

function openWriter(path: string): Database {
  const db = new Sqlite(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  db.pragma('synchronous = FULL')
  // On macOS fsync alone leaves the data in the drive's cache.
  db.pragma('fullfsync = ON')
  db.pragma('checkpoint_fullfsync = ON')
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  db.pragma(`journal_size_limit = ${LOG_MAX_BYTES}`)
  db.pragma(`cache_size = -${CACHE_KIB}`)
  db.pragma('temp_store = MEMORY')
  return db
}

/** Owns the one connection that writes. */
class Writer {
  readonly #db: Database
  readonly #store: SqliteStore
  readonly #maintenance: SqliteMaintenance
  readonly #window: number
  readonly #begin: Statement
  readonly #commit: Statement
  readonly #rollback: Statement
  /** What the batch that is being done consists of so far. */
  readonly #parts: (readonly Cell[])[] = []
  /** What stopped it. */
  #failure: unknown = null
  #answer: Cell[] = []
  /** The newest position that is on disk. */
  #committed: number

  constructor({ path, idempotencyWindowMs }: WriterData) {
    this.#db = openWriter(path)
    this.#store = new SqliteStore(this.#db)
    this.#committed = this.#store.lastSeq
    this.#maintenance = new SqliteMaintenance(this.#db)
    this.#window = idempotencyWindowMs
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#db.prepare('COMMIT')
    this.#rollback = this.#db.prepare('ROLLBACK')
  }

  /** Null: there is nothing to answer yet. */
  answer(question: readonly Cell[]): Cell[] | null {
    try {
      if (question[0] === ASK.feed) return this.#feed(question)
      if (question[0] === ASK.batch) return this.#batch(question)
      this.#abandon()
      if (question[0] === ASK.probe) return this.#probe()
      if (question[0] === ASK.close) return this.#close()
      const [, step, cutoff, upTo] = question
      return [ANSWER.done, this.#maintenance.step(step as MaintenanceStep, cutoff as number, upTo as number)]
    } catch (error) {
      return [ANSWER.failed, errorCode(error), error instanceof Error ? error.message : String(error)]
    }
  }

  /** Takes a batch back, and a transaction that an earlier failure left open, as a full disk can. */
  #abandon(): void {
    const open = this.#db.open && this.#db.inTransaction
    if (!open && this.#parts.length === 0) return
    this.#parts.length = 0
    this.#failure = null
    this.#store.restore(this.#committed)
    if (open) this.#rollback.run()
  }

  #feed(part: readonly Cell[]): null {
    try {
      this.#apply(part)
    } catch (error) {
      // The batch's answer tells it.
      this.#failure ??= error
    }
    return null
  }

  /** All of the batch or nothing. A write that is itself at fault is left out, and its result says so. */
  #batch(rest: readonly Cell[]): Cell[] {
    try {
      this.#apply(rest)
      return this.#finish()
    } catch (error) {
      const parts = [...this.#parts]
      this.#abandon()
      if (!isOwnFault(errorCode(error))) throw error
      return this.#repeatSingly(parts)
    }
  }

  #apply(part: readonly Cell[]): void {
    this.#parts.push(part)
    if (this.#failure !== null) throw this.#failure
    if (this.#parts.length === 1) this.#start()
    applyBatch(this.#context(part), part, BATCH_HEADER, this.#answer)
  }

  #context(part: readonly Cell[]): ApplyContext {
    return { store: this.#store, now: part[1] as number, idempotencyWindowMs: this.#window }
  }

  #start(): void {
    // Left open by a rollback that failed.
    if (this.#db.inTransaction) this.#rollback.run()
    this.#begin.run()
    this.#answer = [ANSWER.done, 0]
  }

  #finish(): Cell[] {
    this.#store.flush()
    this.#commit.run()
    this.#parts.length = 0
    this.#committed = this.#store.lastSeq
    this.#answer[1] = this.#committed
    return this.#answer
  }

  #repeatSingly(parts: readonly (readonly Cell[])[]): Cell[] {
    try {
      this.#start()
      for (const part of parts) this.#applySingly(part)
      return this.#finish()
    } catch (error) {
      this.#abandon()
      throw error
    }
  }

  #applySingly(part: readonly Cell[]): void {
    const reader = new CellReader(part, BATCH_HEADER)
    while (!reader.done) {
      const size = part[reader.position + 1] as number
      const next = reader.position + 2 + size
      const before = this.#store.lastSeq
      this.#db.exec('SAVEPOINT single')
      try {
        const result: Cell[] = []
        applyWrite(this.#context(part), reader, result)
        this.#store.flush()
        this.#answer.push(...result)
      } catch (error) {
        if (!isOwnFault(errorCode(error))) throw error
        this.#db.exec('ROLLBACK TO single')
        this.#store.restore(before)
        this.#answer.push(RESULT.error, 0, error instanceof Error ? error.message : String(error))
      }
      this.#db.exec('RELEASE single')
      reader.position = next
    }
  }

  /** A real write, taken back once it was on disk. */
  #probe(): Cell[] {
    const write = this.#db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', zeroblob(?))")
    this.#db.transaction(() => write.run(PROBE_BYTES)).immediate()
    this.#db.prepare("DELETE FROM meta WHERE name = 'probe'").run()
    return [ANSWER.done, 0]
  }

  #close(): Cell[] {
    if (this.#db.open) {
      try {
        this.#db.pragma('wal_checkpoint(TRUNCATE)')
      } finally {
        this.#db.close()
      }
    }
    return [ANSWER.done, 0]
  }
}

const port = parentPort
if (port === null) throw new Error('the journal writer runs in a thread of its own')
const writer = new Writer(workerData as WriterData)
port.on('message', (question: Cell[]) => {
  const answer = writer.answer(question)
  if (answer !== null) port.postMessage(answer)
  if (question[0] === ASK.close) port.close()
})
port.postMessage([ANSWER.done, 0])
