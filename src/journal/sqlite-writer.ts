import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { type ApplyContext, applyBatch, applyWrite } from './apply.js'
import { BATCH_HEADER, type Cell, CellReader, RESULT } from './cells.js'
import type { MaintenanceStep } from './maintenance.js'
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

function openWriter(path: string): Database.Database {
  const db = new Database(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
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
  readonly #db: Database.Database
  readonly #store: SqliteStore
  readonly #maintenance: SqliteMaintenance
  readonly #window: number
  readonly #begin: Database.Statement
  readonly #commit: Database.Statement
  readonly #rollback: Database.Statement

  constructor({ path, idempotencyWindowMs }: WriterData) {
    this.#db = openWriter(path)
    this.#store = new SqliteStore(this.#db)
    this.#maintenance = new SqliteMaintenance(this.#db)
    this.#window = idempotencyWindowMs
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#db.prepare('COMMIT')
    this.#rollback = this.#db.prepare('ROLLBACK')
  }

  answer(question: readonly Cell[]): Cell[] {
    try {
      this.#abandon()
      switch (question[0]) {
        case ASK.batch:
          return this.#batch(question)
        case ASK.probe:
          return this.#probe()
        case ASK.step: {
          const [, step, cutoff, upTo] = question
          const count = this.#maintenance.step(step as MaintenanceStep, cutoff as number, upTo as number)
          return [ANSWER.done, count]
        }
        default:
          return this.#close()
      }
    } catch (error) {
      return [ANSWER.failed, errorCode(error), error instanceof Error ? error.message : String(error)]
    }
  }

  /** A transaction that an earlier failure left open, as a full disk can. */
  #abandon(): void {
    if (this.#db.open && this.#db.inTransaction) this.#rollback.run()
  }

  /** All of the batch or nothing. A write that is itself at fault is left out, and its result says so. */
  #batch(question: readonly Cell[]): Cell[] {
    const store = this.#store
    const context = { store, now: question[1] as number, idempotencyWindowMs: this.#window }
    const before = store.lastSeq
    try {
      return this.#transact((answer) => applyBatch(context, question, BATCH_HEADER, answer))
    } catch (error) {
      store.restore(before)
      this.#abandon()
      if (!isOwnFault(errorCode(error))) throw error
    }
    try {
      return this.#transact((answer) => this.#applySingly(context, question, answer))
    } catch (error) {
      store.restore(before)
      this.#abandon()
      throw error
    }
  }

  #transact(work: (answer: Cell[]) => void): Cell[] {
    const answer: Cell[] = [ANSWER.done, 0]
    this.#begin.run()
    work(answer)
    this.#store.flush()
    this.#commit.run()
    answer[1] = this.#store.lastSeq
    return answer
  }

  #applySingly(context: ApplyContext, question: readonly Cell[], answer: Cell[]): void {
    const reader = new CellReader(question, BATCH_HEADER)
    while (!reader.done) {
      const size = question[reader.position + 1] as number
      const next = reader.position + 2 + size
      const before = this.#store.lastSeq
      this.#db.exec('SAVEPOINT single')
      try {
        const result: Cell[] = []
        applyWrite(context, reader, result)
        this.#store.flush()
        answer.push(...result)
      } catch (error) {
        if (!isOwnFault(errorCode(error))) throw error
        this.#db.exec('ROLLBACK TO single')
        this.#store.restore(before)
        answer.push(RESULT.error, 0, error instanceof Error ? error.message : String(error))
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
  port.postMessage(writer.answer(question))
  if (question[0] === ASK.close) port.close()
})
port.postMessage([ANSWER.done, 0])
