import { ERROR_CODES, type ErrorCode, GatewayError } from '../../protocol/index.js'
import { type FailureOptions, malformed, networkCode, networkFailure, sanitise } from '../backend/failures.js'
import { MalformedAnswer, ReceiverError } from './messages.js'

const MAX_SENT_CHARS = 500

/** The request never reached anyone. */
const NEVER_SENT = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
])

/**
 * The error for whatever went wrong between request and answer. One that the receiver may have acted upon is tried again
 * only where it knows the request when it comes again.
 */
export function failure(error: unknown, idempotent: boolean, options: FailureOptions): GatewayError {
  if (error instanceof ReceiverError) return received(error, idempotent, options)
  const decided =
    error instanceof MalformedAnswer ? malformed(error.data, options) : networkFailure(error, options.who)
  if (idempotent || !decided.retryable || isSafe(decided)) return decided
  const { code, message, details, cause } = decided
  return new GatewayError(code, message, { details, cause, retryable: false })
}

/** The receiver has not begun: nobody listened, or it says so itself (RFC 6585 §4, RFC 9110 §15.6.4). */
function isSafe({ cause, details, retryAfterMs }: GatewayError): boolean {
  const { status } = (details ?? {}) as { status?: unknown }
  if (status === 429 || (status === 503 && retryAfterMs !== undefined)) return true
  return NEVER_SENT.has(networkCode(cause) ?? '')
}

function received({ shape }: ReceiverError, idempotent: boolean, options: FailureOptions): GatewayError {
  const known = shape.code !== undefined && Object.hasOwn(ERROR_CODES, shape.code)
  const code = known ? (shape.code as ErrorCode) : 'UNAVAILABLE'
  const message = sanitise(shape.message, options.secrets, MAX_SENT_CHARS)
  options.log.warn(
    { code: sanitise(shape.code ?? '', options.secrets, 100), message },
    'the receiver sent an error',
  )
  const retryable = shape.retryable ?? (ERROR_CODES[code].retryable && idempotent)
  return new GatewayError(code, `The receiver could not answer: ${message}`, { retryable })
}
