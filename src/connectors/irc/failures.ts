import { GatewayError } from '../../protocol/errors.js'

/** What a server says is shown to operators; it says it in a line. */
const quoted = (text: string | undefined) => `“${(text ?? '').slice(0, 200)}”`

const NO_SUCH_NICK = '401'
const NO_SUCH_TARGET = new Set([NO_SUCH_NICK, '403', '406'])
/** Not in RFC 1459: many servers’ `Message target change too fast`. */
const TARGET_TOO_FAST = '439'
const SLOW_DOWN_MS = 30_000
/** Servers count connections of an address in a minute or two. */
const THROTTLED_MS = 60_000

/**
 * What a numeric reply to our message means.
 * @param mayReturn whether we have come so lately that others are still coming, as after a restart of the server
 */
export function refusal(numeric: string, text: string | undefined, mayReturn: boolean): GatewayError {
  const message = `The IRC server refused the message (${numeric} ${quoted(text)}).`
  if (numeric === NO_SUCH_NICK && mayReturn) return new GatewayError('UNAVAILABLE', message)
  if (numeric === TARGET_TOO_FAST) {
    return new GatewayError('RATE_LIMITED', message, { retryAfterMs: SLOW_DOWN_MS })
  }
  return new GatewayError(NO_SUCH_TARGET.has(numeric) ? 'NOT_FOUND' : 'FORBIDDEN', message)
}

/**
 * What the ERROR that a server sends before it hangs up means. It is free text; only what asks for another pace or for a
 * human is told apart.
 */
export function hangUp(reason: string | undefined): GatewayError {
  const message = `The IRC server closed the connection (${quoted(reason)}).`
  const text = reason ?? ''
  if (/throttl|too fast|too many (?:connections|unknown)/i.test(text)) {
    return new GatewayError('RATE_LIMITED', message, { retryAfterMs: THROTTLED_MS })
  }
  if (/bad (?:server )?password|password (?:mismatch|incorrect)|access denied/i.test(text)) {
    return new GatewayError('UNAUTHORIZED', message)
  }
  if (/\b(?:banned|[kgz][:-]?lined|akill(?:ed)?)\b/i.test(text)) return new GatewayError('FORBIDDEN', message)
  return new GatewayError('UNAVAILABLE', message)
}

/** A socket that could not be opened or that broke. Its error names the host, which the configuration has. */
export function broken(error: Error | false): GatewayError {
  const code = error && 'code' in error ? ` (${String(error.code)})` : error ? ` (${error.message})` : ''
  return new GatewayError('UNAVAILABLE', `The connection to the IRC server is gone${code}.`, {
    cause: error || undefined,
  })
}
