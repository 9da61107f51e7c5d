import { setImmediate as nextTurn } from 'node:timers/promises'
import { failpoint } from '#failpoint'
import { GatewayError } from '../protocol/index.js'
import { WRITE } from './cells.js'
import type { Engine } from './engine.js'
import { GroupedSessions } from './grouped-sessions.js'
import { idsOfSuffix, suffixesOfEvents, suffixOfEvent, suffixOfRun } from './ids.js'
import type {
  AppendRequest,
  AppendResult,
  CompleteRequest,
  DeadLetterQuery,
  DeadLetterRecord,
  DeadLetterStats,
  Duplicate,
  Journal,
  JournalHealth,
  JournalStats,
  Lease,
  PendingEvent,
  RunOutcome,
  StoredEntry,
} from './journal.js'
import { Leases } from './leases.js'
import { Maintenance } from './maintenance.js'
import type { JournalOptions } from './options.js'
import type { SentBefore } from './outbox.js'
import { COUNT_ROWS, PAGE_ROWS } from './paging.js'
import type { Page, Reads } from './reads.js'
import type { SearchHit, SearchLookup } from './search.js'
import { createSteadyClock } from './steady-clock.js'
import { WriteQueue } from './write-queue.js'
import { AppendWrite, CompleteWrite, PlainWrite, type Write } from './writes.js'

/** A journal of one process over an engine: groups writes, numbers what was committed, pages through what is read. */
export class GroupedJournal extends GroupedSessions implements Journal {
  readonly epoch: string
  readonly stats: JournalStats = {
    appended: 0,
    completed: 0,
    commits: 0,
    failedCommits: 0,
    refused: 0,
    commitSeconds: 0,
  }
  protected readonly searches: boolean
  readonly #engine: Engine
  readonly #options: JournalOptions
  readonly #now: () => number
  readonly #queue: WriteQueue
  readonly #leases = new Leases()
  readonly #maintenance: Maintenance
  readonly #listeners: ((entries: readonly StoredEntry[]) => void)[] = []
  /** What is to be marked as begun, and when it is. */
  #beginning: string[] = []
  #marked: Promise<void> | null = null
  #head: number
  #purged: number
  #closing: Promise<void> | null = null
  #closed = false

  constructor(engine: Engine, options: JournalOptions) {
    super()
    const { retentionMs, idempotencyWindowMs, log } = options
    this.searches = options.search ?? true
    const believeAfterMs = Math.max(retentionMs, idempotencyWindowMs)
    const { now = createSteadyClock({ believeAfterMs }), now: wall = Date.now } = options
    this.epoch = engine.epoch
    this.#engine = engine
    this.#options = options
    this.#now = now
    this.#head = engine.seq
    this.#purged = engine.purged
    this.#queue = new WriteQueue({
      ...options,
      engine,
      now,
      stats: this.stats,
      onCommit: (entries, seq) => this.#publish(entries, seq),
    })
    this.#maintenance = new Maintenance({
      step: (step, cutoff, upTo) => engine.step(step, cutoff, upTo),
      onPurge: (seq) => {
        this.#purged = Math.max(this.#purged, seq)
      },
      retentionMs,
      idempotencyWindowMs,
      maxMessages: options.maxMessages,
      search: this.searches,
      now,
      wall,
      log,
    })
  }

  get head(): number {
    return this.#head
  }

  get waitingWrites(): number {
    return this.#queue.waiting
  }

  onCommit(listener: (entries: readonly StoredEntry[]) => void): void {
    this.#listeners.push(listener)
  }

  append(request: AppendRequest): Promise<AppendResult> {
    const { id, runId } = request.event
    const suffix = suffixOfEvent(id)
    if (suffix === null || idsOfSuffix(suffix).runId !== runId) {
      return Promise.reject(new TypeError(`not the ids of one event: ${id}, ${runId}`))
    }
    return this.write(new AppendWrite(request, suffix))
  }

  findDuplicate(sessionKey: string, idempotencyKey: string): Promise<Duplicate | null> {
    const since = this.#now() - this.#options.idempotencyWindowMs
    return this.read((reads) => reads.duplicate(sessionKey, idempotencyKey, since))
  }

  sentBefore(sessionKey: string, key: string): Promise<SentBefore | null> {
    const since = this.#now() - this.#options.idempotencyWindowMs
    return this.read((reads) => reads.sentBefore(sessionKey, key, since))
  }

  async lease(sessionKey: string): Promise<Lease> {
    return this.#leases.grant(sessionKey)
  }

  async complete(request: CompleteRequest): Promise<boolean> {
    const { eventIds, mergedInto: run = null } = request
    const ids = [...new Set(eventIds)].map(suffixOfEvent)
    const mergedInto = run === null ? null : suffixOfRun(run)
    if (run !== null && mergedInto === null) throw new TypeError(`not the id of a run: ${run}`)
    if (!ids.every((id) => id !== null) || !this.#leases.isCurrent(request.lease)) return false
    failpoint('outcome.completing')
    const done = await this.write(new CompleteWrite(request, ids, mergedInto))
    failpoint('outcome.completed')
    if (done) this.#engine.marks.ended(ids, request.status === 'failed')
    return done
  }

  outcome(runId: string): Promise<RunOutcome | null> {
    const id = suffixOfRun(runId)
    return this.read((reads) => (id === null ? null : reads.outcome(id)))
  }

  async pending(): Promise<readonly PendingEvent[]> {
    const { marks } = this.#engine
    const found: PendingEvent[] = []
    for (;;) {
      const page = await this.read((reads) => reads.pending(found.at(-1)?.event.seq ?? 0, PAGE_ROWS))
      for (const event of page) found.push({ event, crashes: marks.crashes(suffixOfEvent(event.id) ?? '') })
      if (page.length < PAGE_ROWS) return found
      await nextTurn()
    }
  }

  begun(eventIds: readonly string[]): void {
    this.#engine.marks.begun(suffixesOfEvents(eventIds))
  }

  begin(eventIds: readonly string[]): Promise<void> {
    this.#beginning.push(...suffixesOfEvents(eventIds))
    this.#marked ??= Promise.resolve().then(() => this.#mark())
    return this.#marked
  }

  released(eventIds: readonly string[]): void {
    this.#mark()
    this.#engine.marks.released(suffixesOfEvents(eventIds))
  }

  replay(after: number, upTo: number, limit: number): Promise<StoredEntry[]> {
    return this.read((reads) => reads.entries(after, upTo, limit))
  }

  /** What `deleteSession` removed does not count: the end of its session is the entry that tells of it. */
  holds(seq: number): boolean {
    return seq >= this.#purged && seq <= this.#head
  }

  async deadLetters(query: DeadLetterQuery): Promise<DeadLetterRecord[]> {
    const { sessionKey, accept, limit, after = 0 } = query
    const matches = (key: string) =>
      (sessionKey === undefined || key === sessionKey) && (accept === undefined || accept(key))
    return this.collect(after, limit, (reads, from) => reads.deadLetters(from, PAGE_ROWS, matches))
  }

  deadLetter(eventId: string): Promise<DeadLetterRecord | null> {
    const id = suffixOfEvent(eventId)
    return this.read((reads) => (id === null ? null : reads.deadLetter(id)))
  }

  async deadLetterStats(): Promise<DeadLetterStats> {
    const counts = await this.collect(0, Number.POSITIVE_INFINITY, (reads, after) =>
      reads.countDeadLetters(after, COUNT_ROWS),
    )
    const count = counts.reduce((sum, part) => sum + part, 0)
    return { count, oldestAt: await this.read((reads) => reads.oldestDeath()) }
  }

  async revive(eventId: string): Promise<boolean> {
    const id = suffixOfEvent(eventId)
    return id !== null && this.write(new PlainWrite(WRITE.revive, id))
  }

  async discard(eventId: string): Promise<boolean> {
    const id = suffixOfEvent(eventId)
    return id !== null && this.write(new PlainWrite(WRITE.discard, id))
  }

  health(): JournalHealth {
    return this.#engine.health()
  }

  /** One round of retention now; otherwise it runs each minute. Resolves when it is over. */
  maintain(): Promise<void> {
    return this.#maintenance.run()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([this.#queue.idle(), this.#maintenance.stop()])
    this.#closed = true
    await this.#engine.close()
  }

  protected write<T>(write: Write<T>): Promise<T> {
    if (this.#closing === null) this.#queue.push(write)
    else write.fail(new GatewayError('UNAVAILABLE', 'The journal is closed.'))
    return write.promise
  }

  protected async read<T>(read: (reads: Reads) => T): Promise<T> {
    if (this.#closed) throw new GatewayError('UNAVAILABLE', 'The journal is closed.')
    try {
      return read(this.#engine.reads)
    } catch (error) {
      throw this.#engine.readFailure(error)
    }
  }

  protected async lookUp(lookup: SearchLookup): Promise<Page<SearchHit, number>> {
    if (this.#closed) throw new GatewayError('UNAVAILABLE', 'The journal is closed.')
    try {
      return await this.#engine.search(lookup)
    } catch (error) {
      throw this.#engine.readFailure(error)
    }
  }

  protected async index(): Promise<boolean> {
    return (await this.#engine.step('index', 0, 0)) > 0
  }

  /** One write for all that begin. */
  #mark(): void {
    const ids = this.#beginning
    this.#marked = null
    if (ids.length === 0) return
    this.#beginning = []
    this.#engine.marks.begun(ids)
  }

  #publish(entries: readonly StoredEntry[], seq: number): void {
    for (const listener of entries.length > 0 ? this.#listeners : []) {
      try {
        listener(entries)
      } catch (err) {
        this.#options.log.error({ err }, 'a listener of the journal failed')
      }
    }
    this.#head = seq
  }
}
