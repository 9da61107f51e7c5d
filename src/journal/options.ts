import type { Log } from '../log.js'

/** What every kind of journal takes; the defaults of the first three are in the configuration schema. */
export interface JournalOptions {
  /** Writes that may wait for the disk; more are refused. */
  readonly maxPendingWrites: number
  /** How long ended events, and entries other than messages, are kept. Milliseconds. */
  readonly retentionMs: number
  /** How long an idempotency key is remembered. Milliseconds. */
  readonly idempotencyWindowMs: number
  readonly log: Log
  /** Messages of a session that are kept, the newest ones. Default: all. */
  readonly maxMessages?: number
  /** Whether messages can be searched. Default: true. */
  readonly search?: boolean
  /** Text of the waiting writes in all, in UTF-16 units; more is refused. Default: 134,217,728. */
  readonly maxPendingChars?: number
  /** Called with how long the first write of a commit waited until it was on disk; seconds. Must not throw. */
  readonly observeCommit?: (seconds: number) => void
  /** Milliseconds since the Unix epoch. Default: a clock that leaves out the jumps of that of the day. */
  readonly now?: () => number
}

export interface SqliteJournalOptions extends JournalOptions {
  /** The database file; it and its folder are made where they are missing. */
  readonly path: string
  /** How often a journal that cannot write tries whether it can again. Default: 500. */
  readonly probeIntervalMs?: number
  /** Called once when the journal will not write again in this process: it is damaged, or its thread died. */
  readonly onFatal?: (error: Error) => void
}
