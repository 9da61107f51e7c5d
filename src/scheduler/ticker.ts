import type { Log } from '../log.js'
import type { Clock } from './clock.js'
import { DueQueue } from './due-queue.js'

export interface TickerOptions {
  readonly clock: Clock
  readonly log: Log
  /** The time of an id, as things are; null: never. */
  readonly timeOf: (id: string) => number | null
  /** Called when it is time. Resolves with when to look again at the earliest; null: whenever it is time again. */
  readonly onDue: (id: string) => Promise<number | null>
  /** The clock was set back. */
  readonly onClockSetBack: () => void
}

/** A clock that is set, or a machine that sleeps, is noticed within this; a timer could not wait for longer than 24 days anyway. */
const MAX_WAIT_MS = 30_000
/** What the clock goes back by itself, as by NTP, is less. */
const SET_BACK_MS = 10_000
/** What is due in the same moment is begun in turns: each takes memory until it is on disk. */
const MAX_AT_WORK = 256
const FAULT_BACKOFF_MS = 5_000

/** Calls when the time of an id has come: one timer, however many there are. */
export class Ticker {
  readonly #options: TickerOptions
  readonly #queue = new DueQueue()
  readonly #atWork = new Map<string, Promise<void>>()
  #cancel: (() => void) | null = null
  #seen: number
  #running = false

  constructor(options: TickerOptions) {
    this.#options = options
    this.#seen = options.clock.now()
  }

  start(): void {
    this.#running = true
    this.#arm()
  }

  /** Resolves when nothing is at work any more. Twice is fine. */
  async stop(): Promise<void> {
    this.#running = false
    this.#cancel?.()
    this.#cancel = null
    await Promise.all(this.#atWork.values())
  }

  /** The time of this id has changed. */
  changed(id: string): void {
    if (!this.#atWork.has(id)) this.#plan(id, 0)
  }

  #plan(id: string, notBefore: number): void {
    const at = this.#options.timeOf(id)
    if (at === null) this.#queue.delete(id)
    else this.#queue.set(id, Math.max(at, notBefore))
    this.#arm()
  }

  #arm(): void {
    this.#cancel?.()
    this.#cancel = null
    const { next } = this.#queue
    if (!this.#running || next === null || this.#atWork.size >= MAX_AT_WORK) return
    const { clock } = this.#options
    const waitMs = Math.min(Math.max(next - clock.now(), 0), MAX_WAIT_MS)
    this.#cancel = clock.later(waitMs, () => this.#tick())
  }

  #tick(): void {
    const { clock, onClockSetBack } = this.#options
    const now = clock.now()
    const isSetBack = now < this.#seen - SET_BACK_MS
    this.#seen = now
    if (isSetBack) onClockSetBack()
    while (this.#atWork.size < MAX_AT_WORK) {
      const id = this.#queue.take(now)
      if (id === null) break
      this.#atWork.set(id, this.#work(id))
    }
    this.#arm()
  }

  async #work(id: string): Promise<void> {
    const { clock, log, onDue } = this.#options
    let notBefore: number | null
    try {
      notBefore = await onDue(id)
    } catch (err) {
      log.error({ err, jobId: id }, 'a scheduled job could not be looked at')
      notBefore = clock.now() + FAULT_BACKOFF_MS
    }
    this.#atWork.delete(id)
    this.#plan(id, notBefore ?? 0)
  }
}
