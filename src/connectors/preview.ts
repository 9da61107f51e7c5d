import { abortable } from '../agents/abort.js'
import type { RunListener } from '../lanes/run-output.js'
import type { Log } from '../log.js'
import { GatewayError, type InboundEvent } from '../protocol/index.js'
import { targetOf } from './address.js'
import type { Channel } from './channel.js'
import type { Connector, Target } from './connector.js'
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
    if (!types(channel) && !shows(channel)) return null
    const target = targetOf(event.sessionKey)
    if (target === null || target.channel !== event.source) return null
    return new RunPreview(channel, target, event.runId, this.#options.log)
  }
}

const types = ({ entry }: Channel) => entry.typing && entry.connector.typing !== undefined
const shows = ({ entry }: Channel) => entry.preview && entry.connector.preview !== undefined

/** One try of a run, as its conversation sees it. */
class RunPreview implements RunListener {
  readonly #channel: Channel
  readonly #target: Target
  readonly #runId: string
  readonly #log: Log
  /** How much of the answer is kept: more than fits is not shown anyway. Zero: none of it is. */
  readonly #maxText: number
  #text = ''
  #shown = ''
  /** Whether a preview is on its way to the platform, or waits for one. */
  #sending = false
  #pauseMs = 0
  #typing = false
  #over = false
  #previewTimer: NodeJS.Timeout | undefined
  readonly #typingTimer: NodeJS.Timeout | undefined

  constructor(channel: Channel, { peer, thread }: Target, runId: string, log: Log) {
    this.#channel = channel
    this.#target = { peer, thread }
    this.#runId = runId
    this.#log = log
    const { maxLength, typingIntervalMs } = channel.entry.connector.capabilities
    // The platform may count fewer characters than there are.
    this.#maxText = shows(channel) ? 2 * maxLength : 0
    if (!types(channel)) return
    this.#type()
    if (typingIntervalMs !== undefined) {
      this.#typingTimer = setInterval(() => this.#type(), typingIntervalMs)
    }
  }

  delta(text: string): void {
    if (this.#text.length >= this.#maxText) return
    this.#text += text
    this.#schedule()
  }

  /** What is shown stays until there is something new. */
  restart(): void {
    this.#text = ''
  }

  /** What is shown would stand above the question, and the answer in its place: it begins anew below. */
  asks(): void {
    if (this.#channel.entry.questions !== 'ask' || (this.#shown === '' && !this.#sending)) return
    this.#inTurn(async (connector, signal) => {
      this.#shown = ''
      await connector.discard?.(this.#target, this.#runId, signal)
    })
  }

  ended(answered: boolean): void {
    clearInterval(this.#typingTimer)
    clearTimeout(this.#previewTimer)
    this.#over = true
    if (answered || (this.#shown === '' && !this.#sending)) return
    this.#inTurn(async (connector, signal) => connector.discard?.(this.#target, this.#runId, signal))
  }

  /** The first one after an interval as well: a short answer needs none. */
  #schedule(): void {
    if (this.#previewTimer !== undefined || this.#sending) return
    const { previewIntervalMs = DEFAULT_INTERVAL_MS } = this.#channel.entry.connector.capabilities
    const waitMs = Math.max(previewIntervalMs, this.#pauseMs)
    this.#previewTimer = setTimeout(() => this.#send(), waitMs)
  }

  async #send(): Promise<void> {
    this.#previewTimer = undefined
    this.#sending = true
    const sent = this.#text
    await this.#inTurn((connector, signal) => this.#show(connector, signal))
    this.#sending = false
    if (!this.#over && this.#text !== sent) this.#schedule()
  }

  async #show(connector: Connector, signal: AbortSignal): Promise<void> {
    const text = this.#channel.split(this.#text)[0] ?? ''
    if (this.#over || !this.#channel.ready || text === '' || text === this.#shown) return
    this.#shown = text
    await connector.preview!(this.#target, this.#runId, text, signal)
  }

  /** After what is on its way of this run already. Never rejects. */
  async #inTurn(work: (connector: Connector, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { previews, entry } = this.#channel
    try {
      await previews.take(this.#runId, async () => {
        const signal = AbortSignal.timeout(TIMEOUT_MS)
        await abortable(work(entry.connector, signal), signal)
      })
      this.#pauseMs = 0
    } catch (error) {
      this.#failed(error)
      // A platform that says when is obeyed.
      this.#pauseMs = error instanceof GatewayError ? (error.retryAfterMs ?? 0) : 0
    }
  }

  #type(): void {
    const { connector } = this.#channel.entry
    if (this.#typing || !this.#channel.ready) return
    this.#typing = true
    const type = async () => connector.typing!(this.#target, AbortSignal.timeout(TIMEOUT_MS))
    type()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#typing = false
      })
  }

  #failed(error: unknown): void {
    const fields = { channel: this.#channel.name, cause: textOfFailure(error) }
    this.#log.debug(fields, 'what an answer looks like so far could not be shown')
  }
}
