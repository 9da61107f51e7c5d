import { statSync } from 'node:fs'
import { GatewayError } from '../protocol/index.js'
import type { Cell } from './cells.js'
import { Condition } from './condition.js'
import type { Engine } from './engine.js'
import { GroupedJournal } from './grouped-journal.js'
import type { JournalHealth } from './journal.js'
import { JournalError } from './journal-error.js'
import type { MaintenanceStep } from './maintenance.js'
import type { SqliteJournalOptions } from './options.js'
import type { Page } from './reads.js'
import { FileRunningMarks } from './running-marks.js'
import type { SearchHit, SearchLookup } from './search.js'
import { DAMAGED, describeFailure, errorCode, isDamage, isIoError } from './sqlite-errors.js'
import { type JournalFile, openJournalFile } from './sqlite-file.js'
import type { JournalLock } from './sqlite-lock.js'
import { ASK } from './sqlite-protocol.js'
import { SqliteReads } from './sqlite-reads.js'
import { SqliteSearch } from './sqlite-search.js'
import { SqliteWorker } from './sqlite-worker.js'

/** A file, told from another one of the same name. */
const identityOf = (path: string): string => {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? 'none' : `${stats.dev}:${stats.ino}`
}

class SqliteEngine implements Engine {
  readonly epoch: string
  readonly seq: number
  readonly purged: number
  readonly marks: FileRunningMarks
  /** Null for the moment in which the writer has to be alone. */
  #reads: SqliteReads | null
  readonly #path: string
  readonly #identity: string
  readonly #lock: JournalLock
  readonly #worker: SqliteWorker
  readonly #condition: Condition
  readonly #search: SqliteSearch
  readonly #options: SqliteJournalOptions
  /** Set while the file may be damaged: nothing is written before it was read as a whole. */
  #suspect = false
  #closed = false

  constructor(file: JournalFile, worker: SqliteWorker, reads: SqliteReads, options: SqliteJournalOptions) {
    this.epoch = file.epoch
    this.seq = file.seq
    this.purged = file.purged
    this.#reads = reads
    this.marks = new FileRunningMarks({
      path: `${file.path}.running`,
      epoch: file.epoch,
      isPending: (id) => reads.outcome(id)?.status === 'pending',
      log: options.log,
    })
    this.#path = file.path
    this.#identity = identityOf(file.path)
    this.#lock = file.lock
    this.#worker = worker
    this.#search = new SqliteSearch(file.path)
    this.#condition = new Condition({ ...options, probe: () => this.#probe() })
    this.#options = options
  }

  get reads(): SqliteReads {
    if (this.#reads !== null) return this.#reads
    throw new GatewayError('UNAVAILABLE', 'The journal cannot be read now.')
  }

  feed(part: Cell[]): void {
    part[0] = ASK.feed
    this.#worker.feed(part)
  }

  async execute(rest: Cell[]): Promise<readonly Cell[]> {
    rest[0] = ASK.batch
    try {
      return await this.#worker.ask(rest)
    } catch (error) {
      this.#fail(error)
      throw this.refusal() ?? error
    }
  }

  async step(step: MaintenanceStep, cutoff: number, upTo: number): Promise<number> {
    if (step === 'ended') this.#checkIdentity()
    if (this.#suspect) throw this.refusal()
    const answer = await this.#worker.ask([ASK.step, step, cutoff, upTo]).catch((error: unknown) => {
      if (isDamage(errorCode(error)) || isIoError(errorCode(error))) this.#fail(error)
      throw error
    })
    return answer[1] as number
  }

  async search(lookup: SearchLookup): Promise<Page<SearchHit, number>> {
    if (this.#reads === null) throw new GatewayError('UNAVAILABLE', 'The journal cannot be read now.')
    return this.#search.find(lookup)
  }

  readFailure(error: unknown): GatewayError {
    if (error instanceof GatewayError) return error
    if (isDamage(errorCode(error))) this.#fail(error)
    else this.#options.log.error({ err: error }, 'journal read failed')
    return new GatewayError('UNAVAILABLE', 'The journal cannot be read now.', { cause: error })
  }

  refusal(): GatewayError | null {
    return this.#condition.refusal()
  }

  health(): JournalHealth {
    return this.#condition.health()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#condition.stop()
    this.marks.close()
    // The last connection that closes removes the log, and one that only reads cannot.
    this.#reads?.close()
    try {
      await this.#search.close()
      await this.#worker.close()
    } catch (err) {
      // Nothing is lost: the next start continues from the log.
      this.#options.log.warn({ err }, 'journal was not closed in order')
    } finally {
      this.#lock.release()
    }
  }

  /** The thread will answer nothing any more. */
  died(error: Error): void {
    this.#condition.end(`The journal's thread died: ${error.message}. Start the gateway again.`, error)
  }

  async #probe(): Promise<void> {
    try {
      const [, renew] = this.#suspect ? [] : await this.#worker.ask([ASK.probe])
      if (this.#suspect || renew === 1 || this.#reads === null) await this.#renew()
    } catch (error) {
      if (!this.#closed) this.#fail(error)
      throw error
    }
  }

  /** What an error may have kept from the disk is written once more, by the writer alone. */
  async #renew(): Promise<void> {
    this.#reads?.close()
    this.#reads = null
    try {
      await this.#search.close()
      await this.#worker.ask([ASK.renew, this.#suspect ? 1 : 0])
      this.#suspect = false
    } catch (error) {
      try {
        this.#openReads()
      } catch {
        // Of the two errors the writer's says what is wrong.
      }
      throw error
    }
    this.#openReads()
  }

  #openReads(): void {
    if (!this.#closed) this.#reads = new SqliteReads(this.#path)
  }

  #fail(error: unknown): void {
    const code = errorCode(error)
    const message = error instanceof Error ? error.message : String(error)
    const text = describeFailure(this.#path, code, message)
    if (isDamage(code)) this.#suspect = true
    if (code !== DAMAGED) this.#condition.fail(text, error)
    else this.#condition.end(text, error instanceof Error ? error : new Error(message))
  }

  /** A removed file takes writes as before, and all of them are gone with the process. */
  #checkIdentity(): void {
    if (identityOf(this.#path) === this.#identity) return
    const error = new JournalError(
      this.#path,
      'the file was removed or replaced while it was in use',
      'Put it back if it was moved, and start the gateway again.',
    )
    this.#condition.end(error.message, error)
  }
}

/**
 * Opens the journal in an SQLite file: one thread writes, a commit for all that waits, flushed to the disk before anyone is
 * answered. Throws `JournalError` when the file cannot be used; it is then as it was.
 */
export async function openSqliteJournal(options: SqliteJournalOptions): Promise<GroupedJournal> {
  const file = openJournalFile(options.path)
  let worker: SqliteWorker | undefined
  try {
    let engine: SqliteEngine | undefined
    const data = { path: file.path, idempotencyWindowMs: options.idempotencyWindowMs }
    worker = await SqliteWorker.start(data, (error) => engine?.died(error))
    engine = new SqliteEngine(file, worker, new SqliteReads(file.path), options)
    return new GroupedJournal(engine, options)
  } catch (error) {
    await worker?.close()
    file.lock.release()
    const problem = `it cannot be opened: ${error instanceof Error ? error.message : String(error)}`
    throw new JournalError(file.path, problem, 'It was not changed; the cause may be on the disk.', {
      cause: error,
    })
  } finally {
    file.db.close()
  }
}
