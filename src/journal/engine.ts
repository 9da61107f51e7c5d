import type { GatewayError } from '../protocol/index.js'
import type { Cell } from './cells.js'
import type { JournalHealth } from './journal.js'
import type { MaintenanceStep } from './maintenance.js'
import type { Page, Reads } from './reads.js'
import type { SearchHit, SearchLookup } from './search.js'

/** What is known of the events that handlers are at work with, beyond the death of the process. Ids are suffixes. */
export interface RunningMarks {
  /** How often the process died while a handler was at work with the event. */
  crashes(id: string): number
  begun(ids: readonly string[]): void
  released(ids: readonly string[]): void
  /** Their outcome is stored. `mayReturn`: they may wait again, and nothing of before counts then. */
  ended(ids: readonly string[], mayReturn: boolean): void
}

/** What keeps a journal's data: everything of a `GroupedJournal` that depends on where that is. */
export interface Engine {
  readonly epoch: string
  /** The newest position at the time of opening. */
  readonly seq: number
  /** The highest position that retention had removed by then. */
  readonly purged: number
  readonly reads: Reads
  readonly marks: RunningMarks

  /** Begins with the first writes of a batch while the others are still coming. `execute` follows in the same turn or the next. */
  feed(part: Cell[]): void
  /**
   * Does the writes of a batch, those fed before included, all or none, and returns header and results (see cells.ts). Called again only after it has
   * settled. Rejects with what the writers are to be told; what is wrong is logged and shows in `health`.
   */
  execute(rest: Cell[]): Promise<readonly Cell[]>
  /** One bounded step of retention. */
  step(step: MaintenanceStep, cutoff: number, upTo: number): Promise<number>
  /** The next messages, newest first, that match and are part of a conversation. Throws what `readFailure` takes. */
  search(lookup: SearchLookup): Promise<Page<SearchHit, number>>
  /** What to tell the reader of a read that threw. */
  readFailure(error: unknown): GatewayError
  /** Not null: writes are refused with this, for the time being or for good. */
  refusal(): GatewayError | null
  health(): JournalHealth
  close(): Promise<void>
}
