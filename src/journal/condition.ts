import type { Log } from '../log.js'
import { GatewayError } from '../protocol/index.js'
import type { JournalHealth } from './journal.js'

const DEFAULT_PROBE_INTERVAL_MS = 500
/** By then a journal that can write again has been found to. */
const RETRY_AFTER_MS = 1_000

export interface ConditionOptions {
  /** A small real write; rejects while there is no writing. */
  readonly probe: () => Promise<unknown>
  readonly probeIntervalMs?: number
  readonly log: Log
  readonly onFatal?: (error: Error) => void
}

/** Whether a journal can write: it fails at a write, recovers at a probe, and is over when its data cannot be trusted. */
export class Condition {
  readonly #options: ConditionOptions
  #message: string | null = null
  #timer: NodeJS.Timeout | null = null
  #probing = false
  #over = false

  constructor(options: ConditionOptions) {
    this.#options = options
  }

  health(): JournalHealth {
    return this.#message === null ? { status: 'ok' } : { status: 'failing', message: this.#message }
  }

  /** What writers are told in the meantime. What is wrong concerns the operator only. */
  refusal(): GatewayError | null {
    if (this.#message === null) return null
    return new GatewayError('UNAVAILABLE', 'The journal cannot write now; nothing was stored.', {
      retryAfterMs: RETRY_AFTER_MS,
    })
  }

  /** Writes are refused from here until a probe succeeds. */
  fail(message: string, err: unknown): void {
    if (this.#over) return
    if (this.#message === null) this.#options.log.error({ err }, 'journal cannot write; writes are refused')
    this.#message = message
    this.#timer ??= setInterval(
      () => void this.#probe(),
      this.#options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS,
    ).unref()
  }

  /** Writes are refused for good. */
  end(message: string, error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#message = message
    this.stop()
    this.#options.log.error({ err: error }, 'journal is out of use until the gateway starts again')
    this.#options.onFatal?.(error)
  }

  /** Calling it twice is fine. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #probe(): Promise<void> {
    if (this.#probing) return
    this.#probing = true
    try {
      await this.#options.probe()
      if (this.#over) return
      this.stop()
      this.#message = null
      this.#options.log.info({}, 'journal writes again')
    } catch (err) {
      this.#options.log.debug({ err }, 'journal still cannot write')
    } finally {
      this.#probing = false
    }
  }
}
