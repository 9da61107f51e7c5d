import type { Webhook } from 'standardwebhooks'
import { GatewayError } from '../../protocol/errors.js'
import type { TraceContext } from '../../tracing/trace-context.js'

export interface SignedPost {
  readonly url: string
  /** Null: it is not signed. */
  readonly hook: Webhook | null
  /** The same for every try. */
  readonly id: string
  /** When it is sent. */
  readonly at: Date
  /** JSON. */
  readonly body: string
  readonly timeoutMs: number
  readonly trace: TraceContext | null
}

/**
 * Posts JSON, signed by Standard Webhooks (https://www.standardwebhooks.com).
 * @throws GatewayError: `retryable` says whether another try may help; or the signal’s reason
 */
export async function postSigned(post: SignedPost, signal: AbortSignal): Promise<void> {
  const response = await send(post, signal)
  // Nothing in it matters; unread, it would hold the connection.
  await response.body?.cancel().catch(() => {})
  if (!response.ok) throw refusal(response)
}

function headersOf({ hook, id, at, body, trace }: SignedPost): Record<string, string> {
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    ...trace,
  }
  return hook === null ? headers : { ...headers, 'webhook-signature': hook.sign(id, at, body) }
}

async function send(post: SignedPost, signal: AbortSignal): Promise<Response> {
  const timeout = AbortSignal.timeout(post.timeoutMs)
  try {
    // A redirect would hand the message to whatever it names.
    return await fetch(post.url, {
      method: 'POST',
      headers: headersOf(post),
      body: post.body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    })
  } catch (error) {
    signal.throwIfAborted()
    const why = timeout.aborted ? 'was silent for too long' : `cannot be reached${networkCode(error)}`
    throw new GatewayError('UNAVAILABLE', `The receiver of the webhook ${why}.`, { cause: error })
  }
}

function refusal({ status, headers }: Response): GatewayError {
  const fail = (code: GatewayError['code'], message: string) =>
    new GatewayError(code, `The receiver of the webhook ${message} (HTTP ${status}).`, {
      details: { status },
      retryAfterMs: readRetryAfter(headers),
    })
  if (status === 401) return fail('FORBIDDEN', 'does not accept the signature')
  if (status === 403) return fail('FORBIDDEN', 'does not allow this')
  if (status === 404 || status === 410) return fail('NOT_FOUND', 'is gone')
  if (status === 429) return fail('RATE_LIMITED', 'asks for patience')
  if (status >= 500 || status === 408 || status === 425) return fail('UNAVAILABLE', 'cannot take this now')
  if (status < 400) return fail('INVALID_REQUEST', 'is at another address; redirects are not followed')
  return fail('INVALID_REQUEST', 'refused the message')
}

function networkCode(error: unknown): string {
  const code = (error as { cause?: { code?: unknown } }).cause?.code
  return typeof code === 'string' ? ` (${code})` : ''
}

/** In seconds or as a date (RFC 9110, 10.2.3). Milliseconds from now; undefined: it is not there, or is neither. */
function readRetryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after') ?? ''
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(waitMs) ? Math.max(waitMs, 0) : undefined
}
