import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { isatty } from 'node:tty'

/** Ctrl-C under `npm start` arrives twice: from the terminal, and passed on by npm. That is one signal. */
const SAME_SIGNAL_MS = 300

export interface SignalHandlers {
  /** SIGTERM, SIGINT, or the terminal is gone. Called once. */
  readonly onStop: (signal: NodeJS.Signals) => void
  /** Another one of these, later than the same moment. */
  readonly onAgain: (signal: NodeJS.Signals) => void
  /** SIGHUP from anyone but the terminal. */
  readonly onReload: () => void
  /** SIGUSR2. SIGUSR1 is Node's own: it opens the debugger. */
  readonly onRestart: () => void
}

/** Listens for as long as the process lives. */
export function listenForSignals({ onStop, onAgain, onReload, onRestart }: SignalHandlers): void {
  const hadTerminal = hasTerminal()
  const onTerminal = [0, 1, 2].filter((descriptor) => isatty(descriptor))
  let firstAt: number | null = null
  const stop = (signal: NodeJS.Signals) => {
    const now = performance.now()
    if (firstAt === null) {
      firstAt = now
      onStop(signal)
    } else if (now - firstAt > SAME_SIGNAL_MS) onAgain(signal)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGUSR2', onRestart)
  process.on('SIGHUP', (signal) => {
    const hungUp = process.platform === 'win32' || (hadTerminal && !hasTerminal())
    if (!hungUp) {
      onReload()
      return
    }
    for (const descriptor of onTerminal.splice(0)) pointToNowhere(descriptor)
    // A closing terminal that comes after Ctrl-C is not someone who is in a hurry.
    if (firstAt === null) stop(signal)
  })
}

/** The log of the stop would fail, and so would Node as it exits, which puts the terminal in order. */
function pointToNowhere(descriptor: number): void {
  closeSync(descriptor)
  // The lowest that is free: the same.
  openSync(devNull, 'r+')
}

/** Whether there is a controlling terminal: after a hang-up the system takes it away from everyone who had it. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}
