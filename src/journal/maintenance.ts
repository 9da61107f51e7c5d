import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.js'

/**
 * The bounded steps of retention. The plain ones return how much they did or what is left to do: 0 ends them. Entries go in
 * two steps, so that `holds` knows before a reader could miss them: the plan returns the highest position that would go (0:
 * none), then the other removes what the plan meant, up to there.
 *
 * - `ended`: outcomes older than the cutoff, but no dead letters
 * - `keys`: idempotency keys from before the cutoff
 * - `documents`: documents that expired at or before the cutoff
 * - `planEntries`, `entries`: entries other than messages, older than the cutoff
 * - `planExpired`, `expired`: messages that left their conversation before the cutoff
 * - `trim`: leaves messages to `expired` that are more than `cutoff` of their session
 * - `unindex`: takes messages that are gone out of what is searched
 * - `index`: adds the next messages to what is searched
 * - `vacuum`: gives free pages back to the file system
 * - `checkpoint`: moves the write-ahead log into the database
 */
export type MaintenanceStep =
  | 'ended'
  | 'keys'
  | 'documents'
  | 'planEntries'
  | 'entries'
  | 'planExpired'
  | 'expired'
  | 'trim'
  | 'unindex'
  | 'index'
  | 'vacuum'
  | 'checkpoint'

const FIRST_AFTER_MS = 5_000
const INTERVAL_MS = 60_000
/** A step that can wait is followed by so many times its own duration in which all writes have their turn. */
const REST = 4

export interface MaintenanceOptions {
  readonly step: (step: MaintenanceStep, cutoff: number, upTo: number) => Promise<number>
  /** Hears of the highest position that is about to go, before it does. */
  readonly onPurge: (seq: number) => void
  readonly retentionMs: number
  readonly idempotencyWindowMs: number
  /** Messages of a session that stay. Default: all. */
  readonly maxMessages?: number
  /** Whether messages are made ready for search. */
  readonly search: boolean
  readonly now: () => number
  /** The clock by which entries have their times. */
  readonly wall: () => number
  readonly log: Log
}

/** Runs retention in the background: soon after the start, then each minute. */
export class Maintenance {
  readonly #options: MaintenanceOptions
  readonly #first: NodeJS.Timeout
  readonly #interval: NodeJS.Timeout
  #round: Promise<void> | null = null
  readonly #stop = new AbortController()

  constructor(options: MaintenanceOptions) {
    this.#options = options
    this.#first = setTimeout(() => void this.run(), FIRST_AFTER_MS).unref()
    this.#interval = setInterval(() => void this.run(), INTERVAL_MS).unref()
  }

  /** Runs one round now, or joins the one that runs. Never rejects: what failed is tried again in the next round. */
  run(): Promise<void> {
    this.#round ??= this.#runSteps()
      .catch((err: unknown) => this.#options.log.warn({ err }, 'journal retention failed'))
      .finally(() => {
        this.#round = null
      })
    return this.#round
  }

  /** Ends the round after its current step. Calling it twice is fine. */
  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#first)
    clearInterval(this.#interval)
    await this.#round
  }

  async #runSteps(): Promise<void> {
    const { now, wall, retentionMs, idempotencyWindowMs, maxMessages, search } = this.#options
    const cutoff = now() - retentionMs
    await this.#repeat('ended', cutoff)
    await this.#repeat('keys', now() - idempotencyWindowMs)
    // Of two times the earlier one: where they differ, the clock was set, and nothing goes before it has grown old by both.
    await this.#repeat('documents', Math.min(now(), wall()))
    await this.#purge('planEntries', 'entries', Math.min(cutoff, wall() - retentionMs))
    if (maxMessages !== undefined) await this.#repeatGently('trim', maxMessages)
    await this.#purge('planExpired', 'expired', cutoff)
    await this.#repeatGently('unindex', 0)
    if (search) await this.#repeatGently('index', 0)
    await this.#repeat('vacuum', 0)
    await this.#repeat('checkpoint', 0)
  }

  async #repeat(step: MaintenanceStep, cutoff: number): Promise<void> {
    while (!this.#stop.signal.aborted && (await this.#options.step(step, cutoff, 0)) > 0);
  }

  async #repeatGently(step: MaintenanceStep, cutoff: number): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const start = performance.now()
      if ((await this.#options.step(step, cutoff, 0)) === 0) return
      await sleep((performance.now() - start) * REST, undefined, { signal }).catch(() => {})
    }
  }

  async #purge(plan: MaintenanceStep, remove: MaintenanceStep, cutoff: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const upTo = await this.#options.step(plan, cutoff, 0)
      if (upTo === 0) return
      this.#options.onPurge(upTo)
      await this.#options.step(remove, cutoff, upTo)
    }
  }
}
