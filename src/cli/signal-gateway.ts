import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import type { PidRecord } from './pid-file.js'

/** Sends a signal to a gateway; one that has gone in the meantime is for the caller to notice. */
export function signalGateway({ pid }: PidRecord, signal: NodeJS.Signals, done: string): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ESRCH') return
    throw new CliError(EXIT.NO_PERMISSION, `Process ${pid} cannot be ${done}: ${message}`)
  }
}
