import { EXIT, type ExitCode } from './exit-codes.js'

/** A disk that answers at all does so by then. */
const DISK_MS = 250

export interface EndOptions {
  /** Default: 1. */
  readonly exitCode?: ExitCode
  /** Whether the journal's thread has something to do. */
  readonly isBusy: () => boolean
  /** Done right before the end. */
  readonly last?: () => void
}

/**
 * Ends the process without what runs in it. `process.exit` waits for every thread, and that of the journal may hang in the
 * disk for ever: where it is busy for longer than a moment, the process is killed.
 */
export function endProcess({ exitCode = EXIT.FAILED, isBusy, last = () => {} }: EndOptions): void {
  const end = () => {
    last()
    if (!isBusy()) process.exit(exitCode)
    process.kill(process.pid, 'SIGKILL')
    // The first process of a container cannot kill itself.
    process.abort()
  }
  if (isBusy()) setTimeout(end, DISK_MS)
  else end()
}
