import { randomBytes } from 'node:crypto'
import { GatewayError } from '../protocol/index.js'
import { applyBatch } from './apply.js'
import { sendScope } from './apply-outbox.js'
import { BATCH_HEADER, type Cell } from './cells.js'
import type { Engine, RunningMarks } from './engine.js'
import { GroupedJournal } from './grouped-journal.js'
import { idsOfSuffix } from './ids.js'
import type { DeadLetterRecord, Duplicate, JournalHealth, RunOutcome } from './journal.js'
import type { MaintenanceStep } from './maintenance.js'
import { MemorySessionReads } from './memory-session-reads.js'
import { type MemoryEvent, MemoryStore } from './memory-store.js'
import type { JournalOptions } from './options.js'
import type { SentBefore } from './outbox.js'
import type { DocumentReads, OutboxReads, Page, Reads } from './reads.js'
import { deadLetterOf, eventOf, outcomeOf, sentBeforeOf } from './rows.js'
import type { SearchHit, SearchLookup } from './search.js'
import { STATUS } from './store.js'

class MemoryReads implements Reads {
  readonly #store: MemoryStore
  readonly outbox: OutboxReads
  readonly documents: DocumentReads
  readonly sessions: MemorySessionReads

  constructor(store: MemoryStore) {
    this.#store = store
    this.outbox = store.outbox
    this.documents = store.documents
    this.sessions = new MemorySessionReads(store)
  }

  duplicate(sessionKey: string, key: string, since: number): Duplicate | null {
    const row = this.#store.findKey(sessionKey, key)
    if (row === undefined || row.at <= since) return null
    return { ...idsOfSuffix(row.id), seq: row.seq, digest: row.digest }
  }

  sentBefore(sessionKey: string, key: string, since: number): SentBefore | null {
    return sentBeforeOf(this.#store.findKey(sendScope(sessionKey), key), since)
  }

  outcome(id: string): RunOutcome | null {
    const row = this.#store.events.get(id)
    if (row === undefined) return null
    return outcomeOf(row, this.#store.entries.find(({ seq }) => seq === row.replySeq) ?? null)
  }

  pending(after: number, limit: number) {
    return this.#events(STATUS.pending, after).slice(0, limit).map(eventOf)
  }

  entries(after: number, upTo: number, limit: number) {
    return this.#store.entries.filter(({ seq }) => seq > after && seq <= upTo).slice(0, limit)
  }

  entriesAt(positions: readonly number[]) {
    const wanted = new Set(positions)
    return this.#store.entries.filter(({ seq }) => wanted.has(seq))
  }

  deadLetter(id: string): DeadLetterRecord | null {
    const row = this.#store.events.get(id)
    return row?.status === STATUS.failed ? deadLetterOf(row) : null
  }

  countDeadLetters(after: number): Page<number, number> {
    return { items: [this.#events(STATUS.failed, after).length], last: null }
  }

  oldestDeath(): number | null {
    const times = this.#events(STATUS.failed, 0).map(({ doneAt }) => doneAt)
    return times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b))
  }

  deadLetters(
    after: number,
    limit: number,
    matches: (sessionKey: string) => boolean,
  ): Page<DeadLetterRecord, number> {
    const rows = this.#events(STATUS.failed, after).slice(0, limit)
    return {
      items: rows.filter(({ sessionKey }) => matches(sessionKey)).map(deadLetterOf),
      last: rows.length < limit ? null : (rows.at(-1)?.seq ?? null),
    }
  }

  #events(status: number, after: number): MemoryEvent[] {
    return [...this.#store.events.values()]
      .filter((row) => row.status === status && row.seq > after)
      .sort((a, b) => a.seq - b.seq)
  }
}

/** What ends with the process has nobody to tell of its death. */
const NO_MARKS: RunningMarks = { crashes: () => 0, begun() {}, released() {}, ended() {} }

class MemoryEngine implements Engine {
  readonly epoch = randomBytes(12).toString('hex')
  readonly seq = 0
  readonly purged = 0
  readonly #store = new MemoryStore()
  readonly reads = new MemoryReads(this.#store)
  readonly marks = NO_MARKS
  readonly #window: number
  #answer: Cell[] = [0, 0]

  constructor({ idempotencyWindowMs }: JournalOptions) {
    this.#window = idempotencyWindowMs
  }

  feed(part: Cell[]): void {
    const context = { store: this.#store, now: part[1] as number, idempotencyWindowMs: this.#window }
    applyBatch(context, part, BATCH_HEADER, this.#answer)
  }

  async execute(rest: Cell[]): Promise<readonly Cell[]> {
    this.feed(rest)
    const answer = this.#answer
    answer[1] = this.#store.lastSeq
    this.#answer = [0, 0]
    return answer
  }

  async step(step: MaintenanceStep, cutoff: number, upTo: number): Promise<number> {
    return this.#store.maintain(step, cutoff, upTo)
  }

  async search(lookup: SearchLookup): Promise<Page<SearchHit, number>> {
    return this.reads.sessions.search(lookup)
  }

  readFailure(error: unknown): GatewayError {
    return new GatewayError('UNAVAILABLE', 'The journal cannot be read now.', { cause: error })
  }

  refusal(): null {
    return null
  }

  health(): JournalHealth {
    return { status: 'ok' }
  }

  async close(): Promise<void> {}
}

/** A journal that forgets everything with the process: for tests, and for those who want no file. */
export function createMemoryJournal(options: JournalOptions): GroupedJournal {
  return new GroupedJournal(new MemoryEngine(options), options)
}
