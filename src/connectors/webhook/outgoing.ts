import type { Webhook } from 'standardwebhooks'
import { GatewayError } from '../../protocol/errors.js'
import { traceOf } from '../../tracing/trace-context.js'
import type { OutgoingPart, Target } from '../connector.js'
import { partAsJson } from '../part-json.js'
import type { Template } from '../template.js'
import { postSigned } from './post.js'

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
    const at = new Date()
    const body = JSON.stringify({ ...partAsJson(part), channel: this.#channel, at: at.getTime() })
    const { idempotencyKey: id } = part
    const post = {
      url: this.#urlFor(part.target),
      hook: this.#hook,
      id,
      at,
      body,
      timeoutMs: this.#timeoutMs,
      trace: traceOf(part),
    }
    await postSigned(post, signal)
  }

  #urlFor({ peer, thread }: Target): string {
    return this.#url.fill({ peer, thread }, (text) => {
      // URLs drop such a step together with the one before it: the request would go elsewhere.
      if (text !== '.' && text !== '..') return encodeURIComponent(text)
      throw new GatewayError('INVALID_REQUEST', 'This conversation has a name that cannot be part of a URL.')
    })
  }
}
