import { endProcess } from './end-process.js'
import { EXIT } from './exit-codes.js'
import { Foreground, type ForegroundOptions } from './foreground.js'
import { startLean } from './lean-start.js'
import { exitCodeOf } from './report.js'
import { listenForSignals } from './signals.js'

/** For the last words to be written. */
const LEFT_OPEN_MS = 1_000

export type StartOptions = ForegroundOptions

/**
 * `lurkbot gateway start`: runs the gateway in the foreground until a signal stops it. Returns once it listens, or when it was
 * told to stop before that.
 */
export async function start(options: StartOptions): Promise<void> {
  const gateway = new Foreground(options)
  // First, since a signal may come at any time, and the first process of a container hears only those that it asks for.
  endInOrder(gateway)
  try {
    await gateway.start()
  } catch (error) {
    // What a plugin left open does not keep a process that serves nothing.
    setTimeout(() => process.exit(exitCodeOf(error)), LEFT_OPEN_MS).unref()
    throw error
  }
  startLean(false)
}

/** Every way that the process ends once it is there, but by force. */
function endInOrder(gateway: Foreground): void {
  const log = () => gateway.log ?? { error: console.error, warn: console.error, fatal: console.error }
  const endNow = () => endProcess({ isBusy: () => gateway.diskIsBusy, last: () => gateway.removePidFile() })
  const fail = (err: unknown) => {
    // The state in memory can no longer be trusted, so nothing is drained: the journal has all that was accepted.
    // Anything may be thrown, `undefined` as well.
    log().fatal({ err: err ?? String(err) }, 'uncaught error')
    endNow()
  }
  const stop = async () => {
    const hanging = await gateway.stop()
    if (hanging.length === 0) process.exit(EXIT.OK)
    log().error({ hanging }, 'stopped without what hangs; what was accepted is in the journal')
    endNow()
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.once('exit', () => gateway.removePidFile())
  listenForSignals({
    onStop: () => void stop(),
    onAgain: (signal) => {
      log().warn({ signal }, 'second signal, exiting at once')
      endNow()
    },
    onReload: () => gateway.reload(),
    onRestart: () => gateway.restart(),
  })
}
