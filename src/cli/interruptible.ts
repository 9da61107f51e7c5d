import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'

/** Ctrl-C leaves nothing half done behind. `summary`: what is said then. */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  summary = 'Interrupted; nothing was changed.',
): Promise<T> {
  const interrupt = new AbortController()
  const abort = () => interrupt.abort()
  process.once('SIGINT', abort).once('SIGTERM', abort)
  try {
    return await work(interrupt.signal)
  } catch (error) {
    if (interrupt.signal.aborted) throw new CliError(EXIT.FAILED, summary, [], error)
    throw error
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort)
  }
}
