import type { PidRecord } from '../cli/pid-file.js'
import type { Target } from '../cli/target.js'
import type { LoadedConfig } from '../config/load.js'
import type { Problem } from '../config/problems.js'
import type { JournalInspection } from '../journal/inspect.js'

export type Severity = 'ok' | 'info' | 'warning' | 'error'

/** One thing that a check has seen. */
export interface Finding {
  /** The name of the check. */
  readonly check: string
  readonly severity: Severity
  /** Never has a secret in it. */
  readonly message: string
  /** What to do: a command, where there is one. */
  readonly remedy?: string
  /** `--fix` does it. */
  readonly fixable?: boolean
}

export type Observation = Omit<Finding, 'check'>

/** What is known before any check; nothing in it changes. */
export interface DoctorContext {
  /** The state folder. */
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  /** Null: it has problems. */
  readonly loaded: LoadedConfig | null
  readonly problems: readonly Problem[]
  /** Names of connectors, and the variables that are to hold a secret of theirs and are not set. */
  readonly unset: readonly { readonly connector: string; readonly variable: string }[]
  /** The gateway of the state folder; null: it is stopped. */
  readonly running: PidRecord | null
  /** How that one is asked. */
  readonly target: Target | null
  /** The address that people use, through a proxy; null: not given. */
  readonly publicTarget: Target | null
  /** Whether what is not on this machine may be asked. */
  readonly online: boolean
  /** Whether to mend what can be mended without loss. */
  readonly fix: boolean
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  /** How long one peer may take, so that the other findings of its check are given; how long making the journal anew may. */
  readonly peerTimeoutMs: number
  readonly mendTimeoutMs: number
  /** Null: it has none. */
  readonly journalPath: string | null
  /** The journal, read through once for all that ask; null: there is none. */
  inspectJournal(): Promise<JournalInspection | null>
}

/** How long reading a journal through may take: some 100 GB. */
export const INSPECTION_TIMEOUT_MS = 300_000
/** Well below what a check may take. */
export const PEER_TIMEOUT_MS = 5_000
/** It reads the journal through twice, and writes it once. */
export const MEND_TIMEOUT_MS = 1_800_000

export interface Check {
  readonly name: string
  /** How long it may take. Default: 10,000. */
  readonly timeoutMs?: number
  /** Opens nothing for writing unless `context.fix`; what it throws becomes a finding. */
  run(context: DoctorContext, signal: AbortSignal): Promise<Observation[]> | Observation[]
}

export const ok = (message: string): Observation => ({ severity: 'ok', message })
export const info = (message: string, remedy?: string): Observation => ({ severity: 'info', message, remedy })
export const warning = (message: string, remedy: string, fixable?: boolean): Observation => ({
  severity: 'warning',
  message,
  remedy,
  fixable,
})
export const error = (message: string, remedy: string, fixable?: boolean): Observation => ({
  severity: 'error',
  message,
  remedy,
  fixable,
})

/** Part of a check, with a limit of its own; `signal` ends it as well. */
export async function inTime<T>(
  timeoutMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), timeoutMs)
  try {
    return await work(AbortSignal.any([signal, limit.signal]))
  } catch (thrown) {
    if (!limit.signal.aborted || signal.aborted) throw thrown
    throw new Error(`it took longer than ${timeoutMs / 1000} s`, { cause: thrown })
  } finally {
    clearTimeout(timer)
  }
}

export const reasonOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message.split('\n', 1)[0]! : String(thrown)
