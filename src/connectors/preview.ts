import { abortable } from '../agents/abort.js'
import type { RunListener } from '../lanes/attempts.js'
import type { Log } from '../log.js'
import { GatewayError, type InboundEvent } from '../protocol/index.js'
import { targetOf } from './address.js'
import type { Channel } from './channel.js'
import type { Target } from './connector.js'
import { textOfFailure } from './failure.js'

/** How long showing something may take. */
const TIMEOUT_MS = 10_000
const DEFAULT_INTERVAL_MS = 1_000

export interface PreviewsOptions {
  readonly channel: (name: string) => Channel | undefined
  readonly log: Log
}

/** Shows those who wait for an answer that it is being written, and what there is of it. Costs runs of no channel nothing. */
export class Previews {
  readonly #options: PreviewsOptions

  constructor(options: PreviewsOptions) {
    this.#options = options
  }

  /** Who follows a run; null: nobody, as its event came from no channel that shows anything. */
  readonly follow = (event: InboundEvent): RunListener | null => {
    const channel = this.#options.channel(event.source)
    if (channel === undefined) return null
    const { connector, typing, preview } = channel.entry
    const types = typing && connector.typing !== undefined
    const shows = preview && connector.preview !== undefined
    if (!types && !shows) return null
    const target = targetOf(event.sessionKey)
    if (target === null || target.channel !== event.source) return null
    return new RunPreview(channel, target, event.runId, types, shows, this.#options.log)
  }
}

/** One try of a run, as its conversation sees it. */
class RunPreview implements RunListener {
  readonly #target: Target
  readonly #maxLength: number
  #text = ''
  #shown = ''
  /** What is on its way to the platform: one preview at a time. */
  #sending: Promise<void> | null = null
  #typing = false
  #over = false
  #pauseMs = 0
  #previewTimer: NodeJS.Timeout | undefined
  readonly #typingTimer: NodeJS.Timeout | undefined

  constructor(
    private readonly channel: Channel,
    { peer, thread }: Target,
    private readonly runId: string,
    types: boolean,
    private readonly shows: boolean,
    private readonly log: Log,
  ) {
    this.#target = { peer, thread }
    const { maxLength, typingIntervalMs } = channel.entry.connector.capabilities
    this.#maxLength = maxLength
    if (!types) return
    this.#type()
    if (typingIntervalMs !== undefined) {
      this.#typingTimer = setInterval(() => this.#type(), typingIntervalMs)
    }
  }

  delta(text: string): void {
    // More than fits is not shown anyway; the limit may count fewer characters than there are.
    if (!this.shows || this.#text.length > 2 * this.#maxLength) return
    this.#text += text
    this.#schedule()
  }

  /** What is shown stays until there is something new. */
  restart(): void {
    this.#text = ''
  }

  ended(answered: boolean): void {
    clearInterval(this.#typingTimer)
    clearTimeout(this.#previewTimer)
    this.#over = true
    if (answered || (this.#shown === '' && this.#sending === null)) return
    const { connector } = this.channel.entry
    const discard = async () => {
      await this.#sending
      await connector.discard?.(this.#target, this.runId, AbortSignal.timeout(TIMEOUT_MS))
    }
    discard().catch((error: unknown) => this.#failed(error))
  }

  /** The first one after an interval as well: a short answer needs none. */
  #schedule(): void {
    if (this.#previewTimer !== undefined || this.#sending !== null) return
    const { previewIntervalMs = DEFAULT_INTERVAL_MS } = this.channel.entry.connector.capabilities
    const waitMs = Math.max(previewIntervalMs, this.#pauseMs)
    this.#previewTimer = setTimeout(() => this.#send(), waitMs)
  }

  #send(): void {
    this.#previewTimer = undefined
    const sent = this.#text
    this.#sending = this.#show()
      .then(
        () => {
          this.#pauseMs = 0
        },
        (error: unknown) => {
          this.#failed(error)
          // A platform that says when is obeyed.
          this.#pauseMs = error instanceof GatewayError ? (error.retryAfterMs ?? 0) : 0
        },
      )
      .then(() => {
        this.#sending = null
        if (!this.#over && this.#text !== sent) this.#schedule()
      })
    this.channel.busyWith(this.runId, this.#sending)
  }

  async #show(): Promise<void> {
    const text = this.channel.split(this.#text)[0] ?? ''
    if (!this.channel.ready || text === '' || text === this.#shown) return
    this.#shown = text
    const { connector } = this.channel.entry
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    await abortable(connector.preview!(this.#target, this.runId, text, signal), signal)
  }

  #type(): void {
    const { connector } = this.channel.entry
    if (this.#typing || !this.channel.ready) return
    this.#typing = true
    const type = async () => connector.typing!(this.#target, AbortSignal.timeout(TIMEOUT_MS))
    type()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#typing = false
      })
  }

  #failed(error: unknown): void {
    const fields = { channel: this.channel.name, cause: textOfFailure(error) }
    this.log.debug(fields, 'what an answer looks like so far could not be shown')
  }
}
