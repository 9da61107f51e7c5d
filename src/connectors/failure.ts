import { type ErrorShape, GatewayError, toErrorShape } from '../protocol/index.js'

/** Errors of libraries carry whole requests: of them no more than this goes into the log. */
const MAX_CHARACTERS = 1_000

/** What clients see of a failed connection. What is no `GatewayError` says nothing of itself, and may be over by the next try. */
export function shapeOfFailure(error: unknown): ErrorShape {
  if (error instanceof GatewayError) return toErrorShape(error)
  const message = 'The connection failed; the gateway log has the cause.'
  return toErrorShape(new GatewayError('UNAVAILABLE', message))
}

/** What was to be sent is not refused with the connection, whyever that ended: it waits for the next one. */
export function unsent(why: GatewayError): GatewayError {
  return why.retryable ? why : new GatewayError('UNAVAILABLE', why.message, { cause: why })
}

/** What the log has of it: text alone, as the objects may hold headers and tokens. */
export function textOfFailure(error: unknown): string {
  const cause = error instanceof GatewayError && error.cause !== undefined ? ` ${textOf(error.cause)}` : ''
  return (textOf(error) + cause).slice(0, MAX_CHARACTERS)
}

/** Some have a code alone, such as those of several addresses that refuse. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || (error as NodeJS.ErrnoException).code || error.name
}
