import type { Intake } from '../lanes/intake.js'
import { GatewayError } from '../protocol/errors.js'
import { InboundEventFrame } from '../protocol/frames.js'
import { compileValidator } from '../protocol/validation.js'
import { readTrace } from '../tracing/trace-context.js'
import { tracedLog } from '../tracing/traced-log.js'
import type { Connection } from './connection.js'
import { camelCased, readFrameId } from './inbound.js'

const validate = compileValidator(InboundEventFrame, 'event')

/** An inbound `event` frame: only a refusal is answered, with a response of the frame's id (spec §1). */
export function publishFrame(connection: Connection, frame: Record<string, unknown>, intake: Intake): void {
  const read = camelCased(frame, 0)
  const trace = readTrace(read.traceparent, read.tracestate)
  // Whatever they are, they are no reason to refuse the event (W3C Trace Context §3.2).
  if (read.traceparent !== undefined) delete read.traceparent
  if (read.tracestate !== undefined) delete read.tracestate
  const event = read as unknown as InboundEventFrame
  try {
    validate(event)
  } catch (error) {
    connection.bad(readFrameId(frame), error as GatewayError)
    return
  }
  const incoming = {
    type: event.event,
    source: 'ws',
    sessionKey: event.sessionKey,
    payload: event.payload ?? {},
    origin: connection.id,
    ...trace,
  }
  intake.accept(incoming, connection.principal).catch((error: unknown) => {
    const log = tracedLog(connection.services.log, trace ?? {})
    const fields = { err: error, requestId: event.id, connId: connection.id }
    if (error instanceof GatewayError) log.debug(fields, 'inbound event refused')
    else log.error(fields, 'inbound event failed')
    connection.respondError(event.id, error)
  })
}
