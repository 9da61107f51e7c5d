import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log.js'
import { GatewayError } from '../../protocol/errors.js'
import type { Client } from './client.js'

export interface WebhookOptions {
  readonly url: string
  readonly checkMs: number
}

/** That Telegram calls us (core.telegram.org/bots/api#setwebhook). */
export class Webhook {
  readonly #api: Client['api']
  readonly #options: WebhookOptions
  readonly #log: Log
  /** What Telegram shows when it calls. Follows from the token, so that it outlives a restart. */
  readonly #secret: string

  constructor(client: Client, token: string, options: WebhookOptions, log: Log) {
    this.#api = client.api
    this.#options = options
    this.#log = log
    this.#secret = createHmac('sha256', token).update('webhook').digest('base64url')
  }

  async set(kinds: ('message' | 'edited_message')[], signal: AbortSignal): Promise<void> {
    const { url } = this.#options
    await this.#api.setWebhook({ url, secret_token: this.#secret, allowed_updates: kinds }, signal)
  }

  /** Looks now and then whether it still holds; rejects once it does not. */
  async watch(signal: AbortSignal): Promise<never> {
    let told = Math.floor(Date.now() / 1_000)
    for (;;) {
      await sleep(this.#options.checkMs, undefined, { signal })
      const info = await this.#api.getWebhookInfo(signal)
      if (!this.#isOurs(info.url)) {
        throw new GatewayError('CONFLICT', 'Another program has taken the webhook of this bot away.', {
          retryable: true,
        })
      }
      const { last_error_date: at = 0, last_error_message: reason } = info
      if (at <= told) continue
      told = at
      const fields = { reason, waiting: info.pending_update_count }
      this.#log.warn(fields, 'Telegram could not deliver to the webhook')
    }
  }

  isSecret(shown: string | undefined): boolean {
    return timingSafeEqual(digest(shown ?? ''), digest(this.#secret))
  }

  /** Telegram may write it in another way. */
  #isOurs(url = ''): boolean {
    return URL.canParse(url) && new URL(url).href === new URL(this.#options.url).href
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
