import type { Log } from '../log.js'
import { logFieldsOf, type Traced, traceOf } from './trace-context.js'

/** The log whose lines name the trace of what they are about; the same log where that has none. */
export function tracedLog(log: Log, traced: Traced): Log {
  const trace = traceOf(traced)
  if (trace === null) return log
  const fields = logFieldsOf(trace)
  if (log.child !== undefined) return log.child(fields)
  return {
    debug: (own, message) => log.debug({ ...fields, ...own }, message),
    info: (own, message) => log.info({ ...fields, ...own }, message),
    warn: (own, message) => log.warn({ ...fields, ...own }, message),
    error: (own, message) => log.error({ ...fields, ...own }, message),
  }
}
