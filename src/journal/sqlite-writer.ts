import { parentPort, workerData } from 'node:worker_threads'
import { failpoint } from '#failpoint'
import { applyBatch, applyWrite } from './apply.js'
import type { ApplyContext } from './apply-parts.js'
import { BATCH_HEADER, type Cell, CellReader, RESULT } from './cells.js'
import type { MaintenanceStep } from './maintenance.js'
import {
  checkFile,
  closeLeavingLog,
  openWriter,
  rewriteFromLog,
  type WriterConnection,
} from './sqlite-connection.js'
import { DamageError, errorCode, isDamage, isIoError, isOwnFault } from './sqlite-errors.js'
import { ANSWER, ASK, type WriterData } from './sqlite-protocol.js'

/** Pages in the write-ahead log before it is moved into the database: few, and hot pages are written over and over. */
const CHECKPOINT_PAGES = 4_000
/** Large enough that a disk which takes it takes the next writes too. */
const PROBE_BYTES = 256 * 1024

/** Owns the one connection that writes. */
class Writer {
  readonly #path: string
  readonly #window: number
  #connection: WriterConnection
  /** What the batch that is being done consists of so far. */
  readonly #parts: (readonly Cell[])[] = []
  /** What stopped it. */
  #failure: unknown = null
  /**
   * An I/O error, or a page that is not what it has to be. The system may have dropped what it could not write and say so once only: a later fsync that succeeds
   * proves nothing of what was written before, so nothing is acknowledged until all of that was written again.
   */
  #doubt: unknown = null
  #answer: Cell[] = []
  /** The newest position that is on disk. */
  #committed: number

  constructor({ path, idempotencyWindowMs }: WriterData) {
    this.#path = path
    this.#window = idempotencyWindowMs
    this.#connection = openWriter(path)
    this.#committed = this.#connection.store.lastSeq
  }

  /** Null: there is nothing to answer yet. */
  answer(question: readonly Cell[]): Cell[] | null {
    try {
      if (question[0] === ASK.feed) return this.#feed(question)
      if (question[0] === ASK.batch) return this.#batch(question)
      this.#abandon()
      if (question[0] === ASK.probe) return this.#probe()
      if (question[0] === ASK.renew) return this.#renew(question[1] === 1)
      if (question[0] === ASK.close) return this.#close()
      return this.#step(question)
    } catch (error) {
      this.#consider(error)
      return [ANSWER.failed, errorCode(error), error instanceof Error ? error.message : String(error)]
    }
  }

  /** After an answer, so that nobody waits for it: moves a log that has grown long into the database. */
  moveLog(): void {
    if (this.#doubt !== null) return
    try {
      const state = this.#connection.logState.get()
      if (state === undefined || state.log < CHECKPOINT_PAGES || state.log === state.checkpointed) return
      failpoint('log.moving')
      this.#connection.checkpoint.get()
      failpoint('log.moved')
    } catch (error) {
      // The next batch is told.
      this.#consider(error)
    }
  }

  /** Takes a batch back, and a transaction that an earlier failure left open, as a full disk can. */
  #abandon(): void {
    const { db, store, rollback } = this.#connection
    const open = db.open && db.inTransaction
    if (!open && this.#parts.length === 0) return
    this.#parts.length = 0
    this.#failure = null
    store.restore(this.#committed)
    if (open) rollback.run()
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
    if (this.#doubt !== null) throw this.#doubt
    if (this.#failure !== null) throw this.#failure
    if (this.#parts.length === 1) this.#start()
    applyBatch(this.#context(part), part, BATCH_HEADER, this.#answer)
  }

  #context(part: readonly Cell[]): ApplyContext {
    return { store: this.#connection.store, now: part[1] as number, idempotencyWindowMs: this.#window }
  }

  #start(): void {
    const { db, begin, rollback } = this.#connection
    // Left open by a rollback that failed.
    if (db.inTransaction) rollback.run()
    failpoint('batch.beginning')
    begin.run()
    failpoint('batch.begun')
    this.#answer = [ANSWER.done, 0]
  }

  #finish(): Cell[] {
    const { store, commit } = this.#connection
    store.flush()
    failpoint('batch.flushed')
    commit.run()
    failpoint('batch.committed')
    this.#parts.length = 0
    this.#committed = store.lastSeq
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
    const { db, store } = this.#connection
    const reader = new CellReader(part, BATCH_HEADER)
    while (!reader.done) {
      const size = part[reader.position + 1] as number
      const next = reader.position + 2 + size
      const before = store.lastSeq
      db.exec('SAVEPOINT single')
      try {
        const result: Cell[] = []
        applyWrite(this.#context(part), reader, result)
        store.flush()
        this.#answer.push(...result)
      } catch (error) {
        if (!isOwnFault(errorCode(error))) throw error
        db.exec('ROLLBACK TO single')
        store.restore(before)
        this.#answer.push(RESULT.error, 0, error instanceof Error ? error.message : String(error))
      }
      db.exec('RELEASE single')
      reader.position = next
    }
  }

  #step([, step, cutoff, upTo]: readonly Cell[]): Cell[] {
    if (this.#doubt !== null) throw this.#doubt
    failpoint('retention.stepping')
    const done = this.#connection.maintenance.step(step as MaintenanceStep, cutoff as number, upTo as number)
    failpoint('retention.stepped')
    return [ANSWER.done, done]
  }

  #consider(error: unknown): void {
    const code = errorCode(error)
    if (!isIoError(code) && !isDamage(code)) return
    this.#doubt = error
    if (isDamage(code)) return
    try {
      // A commit that failed may be whole in the log, and a restart would find it there: another one takes its place.
      this.#overwrite(0)
    } catch {
      // Written it is all the same, where there is any writing at all; only whether it is on the disk is not known.
    }
  }

  /** Written, taken back; answers 1 where `renew` has to follow. */
  #probe(): Cell[] {
    if (!this.#connection.db.open) this.#connection = openWriter(this.#path)
    this.#overwrite(PROBE_BYTES)
    return [ANSWER.done, this.#doubt === null ? 0 : 1]
  }

  #overwrite(bytes: number): void {
    const { db } = this.#connection
    const write = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', zeroblob(?))")
    db.transaction(() => write.run(bytes)).immediate()
    db.prepare("DELETE FROM meta WHERE name = 'probe'").run()
  }

  /**
   * Ends the doubt: what the log holds goes to the disk once more, all of it. Nobody else may have the file open. Where
   * damage is suspected, the whole file is read before.
   */
  #renew(suspect: boolean): Cell[] {
    // First: of a file without a list of its tables the log cannot be left in order either.
    if (suspect || isDamage(errorCode(this.#doubt))) checkFile(this.#path)
    if (this.#connection.db.open) closeLeavingLog(this.#connection.db, this.#path)
    rewriteFromLog(this.#path)
    this.#connection = openWriter(this.#path)
    const lost = this.#committed - this.#connection.store.lastSeq
    if (lost > 0) throw new DamageError(`the disk has lost the newest ${lost} positions`)
    this.#doubt = null
    return [ANSWER.done, 0]
  }

  #close(): Cell[] {
    const { db } = this.#connection
    if (!db.open) return [ANSWER.done, 0]
    if (this.#doubt !== null) closeLeavingLog(db, this.#path)
    else {
      try {
        db.pragma('wal_checkpoint(TRUNCATE)')
      } finally {
        db.close()
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
  if (question[0] === ASK.batch) {
    failpoint('batch.answered')
    writer.moveLog()
  }
  if (question[0] === ASK.close) port.close()
})
port.postMessage([ANSWER.done, 0])
