import type { Webhook } from 'standardwebhooks'
import { GatewayError } from '../../protocol/errors.js'
import type { OutgoingPart, Target } from '../connector.js'
import { partAsJson } from '../part-json.js'
import type { Template } from '../template.js'

/** Posts parts to a receiver, signed by Standard Webhooks (https://www.standardwebhooks.com). */
export class Sender {
  readonly #url: Template
  readonly #hook: Webhook | null
  readonly #channel: string
  readonly #timeoutMs: number

  constructor(options: { url: Template; hook: Webhook | null; channel: string; timeoutMs: number }) {
    this.#url = options.url
    this.#hook = options.hook
    this.#channel = options.channel
    this.#timeoutMs = options.timeoutMs
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<void> {
    const now = new Date()
    const body = JSON.stringify({ ...partAsJson(part), channel: this.#channel, at: now.getTime() })
    const response = await this.#post(this.#urlFor(part.target), this.#headers(part, body, now), body, signal)
    // Nothing in it matters; unread, it would hold the connection.
    await response.body?.cancel().catch(() => {})
    if (!response.ok) throw refusal(response)
  }

  #headers({ idempotencyKey }: OutgoingPart, body: string, now: Date): Record<string, string> {
    const headers = {
      'content-type': 'application/json',
      'webhook-id': idempotencyKey,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    }
    if (this.#hook === null) return headers
    return { ...headers, 'webhook-signature': this.#hook.sign(idempotencyKey, now, body) }
  }

  #urlFor({ peer, thread }: Target): string {
    return this.#url.fill({ peer, thread }, (text) => {
      // URLs drop such a step together with the one before it: the request would go elsewhere.
      if (text !== '.' && text !== '..') return encodeURIComponent(text)
      throw new GatewayError('INVALID_REQUEST', 'This conversation has a name that cannot be part of a URL.')
    })
  }

  async #post(url: string, headers: Record<string, string>, body: string, signal: AbortSignal) {
    const timeout = AbortSignal.timeout(this.#timeoutMs)
    try {
      // A redirect would hand the message to whatever it names.
      return await fetch(url, {
        method: 'POST',
        headers,
        body,
        redirect: 'manual',
        signal: AbortSignal.any([signal, timeout]),
      })
    } catch (error) {
      signal.throwIfAborted()
      const why = timeout.aborted ? 'was silent for too long' : `cannot be reached${networkCode(error)}`
      throw new GatewayError('UNAVAILABLE', `The receiver of the webhook ${why}.`, { cause: error })
    }
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
