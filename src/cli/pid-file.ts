import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { processExists, processIdentity } from './process-identity.js'

/** What became of a restart in place, for the command that waits for it. */
export interface RestartRecord {
  /** Counts the restarts of this process, from 1. */
  readonly number: number
  /** `refused`: it goes on as it was; `failed`: it has ended. */
  readonly status: 'underway' | 'restarted' | 'refused' | 'failed'
  /** Why it was refused or has failed. */
  readonly message: string | null
  /** The exit code that stands for that. */
  readonly exitCode: ExitCode
}

/** `gateway.pid` in the state folder: which process serves it, and where. */
export interface PidRecord {
  readonly pid: number
  /** Tells this process from a later one of the same pid; null where the system does not say. */
  readonly identity: string | null
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number
  readonly version: string
  /** `http://` or `https://`, with the base path, for clients on this machine. */
  readonly url: string
  /** The same for WebSockets. */
  readonly wsUrl: string
  /** The configuration file that it read. */
  readonly configFile: string | null
  /** None: it logs to its standard output. */
  readonly logFile?: string | null
  readonly profile?: string | null
  /** Null: it was not restarted since its process began. */
  readonly lastRestart: RestartRecord | null
}

const pathIn = (home: string) => join(home, 'gateway.pid')

/** Null: there is none, or none that can be read. */
export function readPidFile(home: string): PidRecord | null {
  try {
    const record = JSON.parse(readFileSync(pathIn(home), 'utf8')) as PidRecord
    return Number.isInteger(record.pid) && record.pid > 0 && typeof record.url === 'string' ? record : null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof SyntaxError || code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}

/** Whether the process that wrote the record still runs. */
export function isRunning(record: PidRecord): boolean {
  // A container's gateway has the same pid after each start; its own file of the last time is not another gateway.
  if (record.pid === process.pid) return record.identity === processIdentity(process.pid)
  if (!processExists(record.pid)) return false
  const identity = processIdentity(record.pid)
  return identity === null || record.identity === null || identity === record.identity
}

/** The record of the running gateway of a state folder, or null. */
export function findRunning(home: string): PidRecord | null {
  const record = readPidFile(home)
  return record !== null && isRunning(record) ? record : null
}

/** Writes the file whole or not at all, readable by its owner only. Returns the function that removes it. Throws `CliError`. */
export function writePidFile(
  home: string,
  fields: Omit<PidRecord, 'pid' | 'identity'>,
): { record: PidRecord; remove: () => void } {
  const record: PidRecord = { pid: process.pid, identity: processIdentity(process.pid), ...fields }
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const path = pathIn(home)
  const temporary = `${path}.${process.pid}`
  try {
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    const reason = error instanceof Error ? error.message : String(error)
    const advice = 'Free some space or fix its permissions, and start again.'
    throw new CliError(EXIT.FAILED, `The state folder ${home} cannot be written: ${reason}.`, [advice], error)
  }
  const remove = () => {
    try {
      removePidFile(home, record)
    } catch {
      // What calls this is ending, be it for want of file descriptors; a file that stays is known by its process.
    }
  }
  return { record, remove }
}

/** Removes the file if it is still that of this record. Removing twice is fine. */
export function removePidFile(home: string, record: PidRecord): void {
  const current = readPidFile(home)
  if (current?.pid === record.pid && current.identity === record.identity)
    rmSync(pathIn(home), { force: true })
}
