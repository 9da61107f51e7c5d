import { withoutCredentials } from '../../config/secrets.js'
import { GatewayError, type GatewayErrorOptions } from '../../protocol/index.js'
import type { Log } from '../agent.js'

/** Beyond it a `Retry-After` is not believed; how long a lane really waits is bounded by `retry.maxBackoffMs`. */
const MAX_RETRY_AFTER_MS = 3_600_000
const MAX_BODY_BYTES = 16_384
const MAX_LOGGED_CHARS = 2_000
const MAX_SENT_CHARS = 200

export interface FailureOptions {
  /** How the backend is called in messages: `model provider`. */
  readonly who: string
  /** What must not get out: the key and the values of the configured headers. */
  readonly secrets: readonly string[]
  readonly log: Log
}

/**
 * The error for a response that is no answer. Its body is read up to a bound, for the log and a short message.
 *
 * @param expected what an answer would have been
 */
export async function refusal(
  response: Response,
  expected: string,
  options: FailureOptions,
): Promise<GatewayError> {
  const { status, headers } = response
  const text = await readStart(response)
  const provider = providerError(parseJson(text))
  const said =
    provider.message === undefined ? '' : `: ${sanitise(provider.message, options.secrets, MAX_SENT_CHARS)}`
  const requestId = headers.get('x-request-id') ?? undefined
  const body = sanitise(text, options.secrets, MAX_LOGGED_CHARS)
  options.log.warn({ status, requestId, body }, `the ${options.who} refused a request`)
  const fail = (code: GatewayError['code'], message: string, more: GatewayErrorOptions = {}) =>
    new GatewayError(code, `The ${options.who} ${message}`, { details: { status }, ...more })

  if (status === 401 || status === 403) return fail('NOT_LINKED', `refused the credentials (HTTP ${status}).`)
  if (status === 402 || provider.code === 'insufficient_quota') {
    return fail('NOT_LINKED', `wants its account to be topped up (HTTP ${status}).`)
  }
  if (status === 404) return fail('NOT_LINKED', `does not know what it is asked for (HTTP 404)${said}`)
  if (status >= 300 && status < 400) return fail('NOT_LINKED', `is at another address (HTTP ${status}).`)
  if (status < 300) return fail('UNAVAILABLE', `did not answer with ${expected} (HTTP ${status})${said}`)
  if (status >= 500 || [408, 409, 425, 429].includes(status)) {
    const retryAfterMs = readRetryAfter(headers)
    return fail('UNAVAILABLE', `cannot answer now (HTTP ${status})${said}`, { retryAfterMs })
  }
  return fail('INVALID_REQUEST', `refused the request (HTTP ${status})${said}`)
}

/** The error for whatever the network did between request and answer. */
export function networkFailure(error: unknown, who: string): GatewayError {
  if (error instanceof GatewayError) return error
  const code = networkCode(error)
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return silent(who, error)
  if (error instanceof TypeError && error.message === 'terminated') return brokenOff(who, error)
  const why = code === undefined ? '' : ` (${code})`
  return new GatewayError('UNAVAILABLE', `The connection to the ${who} failed${why}.`, { cause: error })
}

/** The error for an error that the backend put into its stream instead of the rest of the answer. */
export function streamedFailure(body: unknown, { who, secrets, log }: FailureOptions): GatewayError {
  const { message } = providerError({ error: body })
  const text = sanitise(JSON.stringify(body), secrets, MAX_LOGGED_CHARS)
  log.warn({ body: text }, `the ${who} failed in the middle of an answer`)
  const said = message === undefined ? '.' : `: ${sanitise(message, secrets, MAX_SENT_CHARS)}`
  return new GatewayError('UNAVAILABLE', `The ${who} failed in the middle of its answer${said}`)
}

/** The error for an answer that cannot be read. */
export function malformed(data: string, { who, secrets, log }: FailureOptions): GatewayError {
  log.warn({ data: sanitise(data, secrets, MAX_LOGGED_CHARS) }, `the ${who} sent a malformed answer`)
  return new GatewayError('UNAVAILABLE', `The ${who} sent a malformed answer.`)
}

export function silent(who: string, cause?: unknown): GatewayError {
  return new GatewayError('AGENT_TIMEOUT', `The ${who} was silent for too long.`, { cause })
}

export function brokenOff(who: string, cause?: unknown): GatewayError {
  return new GatewayError('UNAVAILABLE', `The ${who} broke off in the middle of its answer.`, { cause })
}

/** `Retry-After` in seconds or as a date, or `retry-after-ms`, as milliseconds, bounded. */
export function readRetryAfter(headers: Headers, now = Date.now()): number | undefined {
  const exact = headers.get('retry-after-ms')
  const value = exact ?? headers.get('retry-after') ?? ''
  const number = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : undefined
  const wait = number === undefined ? Date.parse(value) - now : exact === null ? number * 1000 : number
  return Number.isFinite(wait) ? Math.min(Math.max(Math.ceil(wait), 0), MAX_RETRY_AFTER_MS) : undefined
}

/** A text without secrets and control characters, cut. */
export function sanitise(text: string, secrets: readonly string[], maxChars: number): string {
  let clean = text
  for (const secret of secrets) clean = clean.replaceAll(secret, '[redacted]')
  // Providers quote a refused key, in part or whole.
  clean = withoutCredentials(clean)
    .replace(/\b(?:sk|pk|gsk|xai|hf|pplx)[-_][\w*.-]{6,}/gi, '[redacted]')
    .replace(/\bBearer\s+\S+/gi, 'Bearer [redacted]')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return clean.length > maxChars ? `${clean.slice(0, maxChars)}…` : clean
}

/** The start of a body; what cannot be read is left out, since the status alone says enough. */
async function readStart({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body ?? []) {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= MAX_BODY_BYTES) break
    }
  } catch {}
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString()
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `{error: {message, code}}`, `{error: "…"}`, `{message}`, `{detail}`, or one of these in a list. */
function providerError(body: unknown): { message?: string; code?: string } {
  const top = field(body, '0') ?? body
  const error = field(top, 'error') ?? top
  const message = [error, field(error, 'message'), field(error, 'detail')].find(
    (one) => typeof one === 'string',
  )
  const code = field(error, 'code')
  return { message: message as string | undefined, code: typeof code === 'string' ? code : undefined }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** Such as `ECONNREFUSED`. */
export function networkCode(error: unknown): string | undefined {
  const code = field(field(error, 'cause'), 'code')
  return typeof code === 'string' ? code : undefined
}
