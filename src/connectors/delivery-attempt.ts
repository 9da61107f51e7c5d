import { setTimeout as delay } from 'node:timers/promises'
import type { Journal } from '../journal/journal.js'
import type { DeliveryRecord } from '../journal/outbox.js'
import type { Log } from '../log.js'
import { GatewayError } from '../protocol/index.js'
import { deliverySpan, fail } from '../tracing/spans.js'
import type { TraceContext } from '../tracing/trace-context.js'
import { CARRYING, type Span, type Tracing } from '../tracing/tracing.js'
import type { OutgoingPart, Sent } from './connector.js'
import type { DeliveryChannel } from './delivery-channel.js'

export interface DeliveryAttemptsOptions {
  readonly journal: Pick<Journal, 'delivery' | 'partsSent' | 'delivered'>
  readonly log: Log
  /** `timeoutMs`: how long the platform may take for one part. */
  readonly delivery: { readonly timeoutMs: number }
  /** Whether a question still waits for its answer; default: it does. */
  readonly isOpen?: (questionId: string) => boolean
  /** Aborts when what is on its way has had its time at a stop. */
  readonly signal: AbortSignal
  /** Default: trace contexts are carried on. */
  readonly tracing?: Tracing
}

/** How a try ended. */
export type Tried =
  | { readonly status: 'delivered'; readonly delivery: DeliveryRecord }
  | { readonly status: 'failed'; readonly delivery: DeliveryRecord; readonly error: unknown }
  /** It does not wait in the journal. */
  | { readonly status: 'gone' }
  /** The channel or the gateway stopped: it goes on from where it is. */
  | { readonly status: 'interrupted' }

const GONE: Tried = { status: 'gone' }
const INTERRUPTED: Tried = { status: 'interrupted' }

/** How long a send may go on after its signal has aborted. */
const ABORT_GRACE_MS = 1_000
const BACKOFF_MS = 250
const MAX_BACKOFF_MS = 5_000

/** One try of a delivery: what is left of it, part by part, each journalled before the next. */
export class DeliveryAttempts {
  readonly #options: DeliveryAttemptsOptions

  constructor(options: DeliveryAttemptsOptions) {
    this.#options = options
  }

  /**
   * @param isOpen whether the channel takes further parts
   * @param messageIds is given what the platform calls each part
   * @throws when the journal cannot be read; then nothing was tried.
   */
  async run(
    id: string,
    channel: DeliveryChannel,
    isOpen: () => boolean,
    messageIds: string[],
  ): Promise<Tried> {
    const { journal, tracing = CARRYING } = this.#options
    const delivery = await journal.delivery(id)
    if (delivery === null) return GONE
    if (this.#isOver(delivery)) {
      const forgotten = await this.persist(() => journal.delivered(id))
      return forgotten === null ? INTERRUPTED : GONE
    }
    const span = deliverySpan(tracing, delivery)
    try {
      const tried = await this.#try(delivery, channel, isOpen, messageIds, span)
      span.set({ 'lurkbot.delivery.outcome': tried.status })
      if (tried.status === 'failed') fail(span, tried.error)
      return tried
    } finally {
      span.end()
    }
  }

  async #try(
    delivery: DeliveryRecord,
    channel: DeliveryChannel,
    isOpen: () => boolean,
    messageIds: string[],
    span: Span,
  ): Promise<Tried> {
    const { journal, signal } = this.#options
    const { id } = delivery
    try {
      const texts = channel.split(delivery.content.text)
      const parts = Math.max(texts.length, 1)
      // Should it be split otherwise than before a restart, then better its last part twice than not at all.
      for (let n = Math.min(delivery.partsSent, parts - 1); n < parts; n++) {
        if (!isOpen()) return INTERRUPTED
        const part = partOf(delivery, texts[n] ?? '', n + 1, parts, span.trace)
        const sent = await span.within(() => this.#send(channel, part))
        // The platform has it, even if a connector of others does not say so as it should.
        if (typeof sent?.messageId === 'string') messageIds.push(sent.messageId)
        if (n + 1 === parts) break
        const waits = await this.persist(() => journal.partsSent(id, n + 1))
        if (waits !== true) return waits === null ? INTERRUPTED : GONE
      }
    } catch (error) {
      return signal.aborted ? INTERRUPTED : { status: 'failed', delivery, error }
    }
    const waited = await this.persist(() => journal.delivered(id))
    return waited === null ? INTERRUPTED : { status: 'delivered', delivery }
  }

  /** Whether it asks what nobody waits for any more: an answer to it could only be taken for one to something else. */
  #isOver({ content, partsSent }: DeliveryRecord): boolean {
    const { isOpen = () => true } = this.#options
    return content.questionId !== undefined && partsSent === 0 && !isOpen(content.questionId)
  }

  /** Writes to the journal until the disk takes it. Null: the gateway stopped before. */
  async persist<T>(write: () => Promise<T>): Promise<T | null> {
    const { log, signal } = this.#options
    for (let backoffMs = BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
      try {
        return await write()
      } catch (err) {
        if (signal.aborted) return null
        log.warn({ err, retryInMs: backoffMs }, 'what became of a delivery could not be written yet')
        await delay(backoffMs, undefined, { signal }).catch(() => {})
      }
    }
  }

  /** Ends within the time limit and a grace, whatever the channel does. */
  #send(channel: DeliveryChannel, part: OutgoingPart): Promise<Sent> {
    const { delivery, signal } = this.#options
    const { timeoutMs } = delivery
    const controller = new AbortController()
    let timer: NodeJS.Timeout | undefined
    let grace: NodeJS.Timeout | undefined
    let onStop = () => {}
    const abandoned = new Promise<never>((_, reject) => {
      const abort = (message: string) => {
        const reason = new GatewayError('UNAVAILABLE', message)
        controller.abort(reason)
        // Whoever heeds the signal says how it ended: the platform may have taken it after all.
        grace ??= setTimeout(() => reject(reason), ABORT_GRACE_MS)
      }
      onStop = () => abort('The gateway stops.')
      timer = setTimeout(() => abort(`The platform did not take it within ${timeoutMs} ms.`), timeoutMs)
      signal.addEventListener('abort', onStop, { once: true })
    })
    const sending = (async () => channel.send(part, controller.signal))().catch((error: unknown) => {
      throw controller.signal.aborted ? controller.signal.reason : error
    })
    return Promise.race([sending, abandoned]).finally(() => {
      signal.removeEventListener('abort', onStop)
      clearTimeout(timer)
      clearTimeout(grace)
    })
  }
}

function partOf(
  delivery: DeliveryRecord,
  text: string,
  part: number,
  parts: number,
  trace: TraceContext | null,
): OutgoingPart {
  const { id, peer, thread, content } = delivery
  return {
    target: { peer, thread },
    text,
    attachments: part === parts ? (content.attachments ?? []) : [],
    idempotencyKey: `${id}-${part}`,
    runId: content.runId ?? null,
    replyTo: content.replyTo ?? null,
    part,
    parts,
    ...trace,
  }
}
