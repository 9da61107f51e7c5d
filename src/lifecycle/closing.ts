import type { Log } from '../log.js'
import { within } from './within.js'

export interface ClosingOptions {
  /** What all steps together may take, in milliseconds, counted from the first. */
  readonly timeoutMs: number
  readonly log: Log
}

/** What a step is given even where others have used the time up: that of one which does not hang. Milliseconds. */
const LEAST_MS = 100

/**
 * The steps of a stop after the drain. Each is waited for as long as the time allows, so that one which hangs or throws keeps
 * no other from its turn; what hangs can be named.
 */
export class Closing {
  readonly #options: ClosingOptions
  readonly #unfinished = new Set<string>()
  #startedAt: number | null = null

  constructor(options: ClosingOptions) {
    this.#options = options
  }

  /** The steps that have begun and not ended. */
  get unfinished(): string[] {
    return [...this.#unfinished]
  }

  /**
   * Runs a step; resolves when it has ended, or when that share of the time (0 to 1) is over. Never rejects: a failure is
   * logged.
   */
  async step(name: string, run: () => unknown, share = 1): Promise<void> {
    const { timeoutMs, log } = this.#options
    this.#startedAt ??= performance.now()
    const leftMs = this.#startedAt + timeoutMs * share - performance.now()
    this.#unfinished.add(name)
    const done = Promise.resolve()
      .then(run)
      .catch((err: unknown) => log.error({ err, step: name }, 'a step of the stop failed'))
      .then(() => this.#unfinished.delete(name))
    const inTime = await within(done, Math.max(leftMs, LEAST_MS))
    if (!inTime) log.error({ step: name }, 'a step of the stop hangs; it goes on without it')
  }
}
