import { endProcess } from './end-process.js'
import { EXIT } from './exit-codes.js'
import { Foreground, type ForegroundOptions } from './foreground.js'
import { startLean } from './lean-start.js'
import { describeFailure, exitCodeOf } from './report.js'
import { Service } from './service.js'
import { listenForSignals } from './signals.js'
import { tellStarter } from './starter.js'

/** For the last words to be written. */
const LEFT_OPEN_MS = 1_000

/**
 * `lurkbot gateway start`: runs the gateway in the foreground until a signal stops it. Returns once it listens, or when it was
 * told to stop before that.
 */
export async function start(options: ForegroundOptions): Promise<void> {
  const gateway = new Foreground(options)
  // First, since a signal may come at any time, and the first process of a container hears only those that it asks for.
  const service = new Service(gateway)
  endInOrder(gateway, service)
  try {
    await service.connect()
    await gateway.start()
    service.ready()
    if (options.detached && gateway.place !== null) tellStarter({ type: 'ready', ...gateway.place })
  } catch (error) {
    // What a plugin left open does not keep a process that serves nothing.
    setTimeout(() => process.exit(exitCodeOf(error)), LEFT_OPEN_MS).unref()
    const failure = { type: 'failed', message: describeFailure(error) } as const
    if (!options.detached || !tellStarter(failure)) throw error
    process.exitCode = exitCodeOf(error)
  }
  startLean(false)
}

/** Every way that the process ends once it is there, but by force. */
function endInOrder(gateway: Foreground, service: Service): void {
  const log = () => gateway.log ?? { error: console.error, warn: console.error }
  const endNow = () => endProcess({ isBusy: () => gateway.diskIsBusy, last: () => gateway.lastWords() })
  const fail = (err: unknown) => {
    // The state in memory can no longer be trusted, so nothing is drained: the journal has all that was accepted.
    gateway.sayCrash(err)
    endNow()
  }
  const stop = async () => {
    service.stopping()
    const hanging = await gateway.stop()
    if (hanging.length === 0) process.exit(EXIT.OK)
    log().error({ hanging }, 'stopped without what hangs; what was accepted is in the journal')
    endNow()
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.once('exit', () => gateway.lastWords())
  listenForSignals({
    onStop: () => void stop(),
    onAgain: (signal) => {
      log().warn({ signal }, 'second signal, exiting at once')
      endNow()
    },
    onReload: () => void service.during('Reads its configuration anew', () => gateway.reload()),
    onRestart: () => void service.during('Restarts', () => gateway.restart()),
  })
}
