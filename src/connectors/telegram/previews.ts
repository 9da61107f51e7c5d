import { GatewayError } from '../../protocol/errors.js'
import type { Target } from '../connector.js'
import { Recent } from '../recent.js'
import type { Messages } from './messages.js'

/** Runs whose messages are known at the same time; the answer of an older one is a new message. */
const MAX_PREVIEWS = 1_000

interface Preview {
  messageId: number | null
  shown: string
  /** Telegram wants no edit before this time; never again where the message is gone. */
  notBefore: number
  /** The last call, which a message may still come of. */
  busy: Promise<void>
}

/** The messages that show answers as they grow. */
export class Previews {
  readonly #messages: Messages
  readonly #previews = new Recent<Preview>(MAX_PREVIEWS)

  constructor(messages: Messages) {
    this.#messages = messages
  }

  async show(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    const key = keyOf(target, runId)
    let preview = this.#previews.get(key)
    if (preview === undefined) {
      preview = { messageId: null, shown: '', notBefore: 0, busy: Promise.resolve() }
      this.#previews.set(key, preview)
    }
    if (text.trim() === '' || text === preview.shown || Date.now() < preview.notBefore) return
    preview.busy = this.#write(preview, target, text, signal)
    await preview.busy
  }

  /** Makes the run's preview its answer. Null: there is none, or it is gone. */
  async finish(target: Target, runId: string, text: string, signal: AbortSignal): Promise<number | null> {
    const messageId = await this.#messageOf(target, runId)
    const edited = messageId === null ? 'gone' : await this.#messages.edit(target, messageId, text, signal)
    this.#previews.delete(keyOf(target, runId))
    return edited === 'gone' ? null : messageId
  }

  async discard(target: Target, runId: string, signal: AbortSignal): Promise<void> {
    const messageId = await this.#messageOf(target, runId)
    if (messageId !== null) await this.#messages.remove(target, messageId, signal)
    this.#previews.delete(keyOf(target, runId))
  }

  async #messageOf(target: Target, runId: string): Promise<number | null> {
    const preview = this.#previews.get(keyOf(target, runId))
    await preview?.busy.catch(() => {})
    return preview?.messageId ?? null
  }

  async #write(preview: Preview, target: Target, text: string, signal: AbortSignal): Promise<void> {
    try {
      if (preview.messageId === null) {
        preview.messageId = await this.#messages.write(target, text, null, signal)
      } else if ((await this.#messages.edit(target, preview.messageId, text, signal)) === 'gone') {
        preview.messageId = null
        preview.notBefore = Number.POSITIVE_INFINITY
      }
      preview.shown = text
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'RATE_LIMITED')) throw error
      preview.notBefore = Date.now() + (error.retryAfterMs ?? 0)
    }
  }
}

function keyOf({ peer, thread }: Target, runId: string): string {
  return `${runId} ${peer} ${thread ?? ''}`
}
