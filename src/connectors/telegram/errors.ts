import { HttpError } from 'grammy'
import type { ApiError } from 'grammy/types'
import { GatewayError } from '../../protocol/errors.js'

/** What Telegram says of a chat, topic or person that is not there (any more). */
const GONE = /chat not found|thread not found|topic_deleted|user not found|peer_id_invalid|was upgraded/i

const CONFLICTS =
  'Another program polls with this token, or a webhook is set for it: only one may receive its messages.'

/** Why Telegram refused a call, in the gateway's words. `details.description` is what it said. */
export function refusal(answer: Partial<ApiError>): GatewayError {
  const { error_code: status = 0, description = '', parameters = {} } = answer
  const fail = (code: GatewayError['code'], message: string, more: object = {}) =>
    new GatewayError(code, message, { details: { status, description }, ...more })
  const said = `Telegram refused: ${description || `error ${status}`}`
  switch (status) {
    case 400:
      return fail(GONE.test(description) ? 'NOT_FOUND' : 'INVALID_REQUEST', said)
    // A token of a wrong shape is no address that it knows.
    case 401:
    case 404:
      return fail('UNAUTHORIZED', 'Telegram does not know the token of this bot.')
    case 403:
      return fail('FORBIDDEN', said)
    // The other program may be the one that this one takes over from.
    case 409:
      return fail('CONFLICT', CONFLICTS, { retryable: true })
    case 429: {
      const retryAfterMs = (parameters.retry_after ?? 1) * 1_000
      return fail('RATE_LIMITED', 'Telegram asks for patience.', { retryAfterMs })
    }
  }
  if (status > 400 && status < 500) return fail('INVALID_REQUEST', said)
  return fail('UNAVAILABLE', `Telegram cannot answer now: ${description || 'no reason given'}`)
}

/**
 * Telegram could not be asked. The error of the HTTP client goes no further, since its message has the URL, and that the
 * token; only a code such as `ECONNREFUSED` does.
 */
export function unreachable(error: unknown): GatewayError {
  const { code } = (error instanceof HttpError ? error.error : {}) as { code?: unknown }
  const why = typeof code === 'string' ? ` (${code})` : ''
  return new GatewayError('UNAVAILABLE', `The connection to Telegram failed${why}.`)
}

/** Whether Telegram refused with words that match. */
export function saidThat(error: unknown, words: RegExp): boolean {
  if (!(error instanceof GatewayError)) return false
  const { description } = (error.details ?? {}) as { description?: unknown }
  return typeof description === 'string' && words.test(description)
}
