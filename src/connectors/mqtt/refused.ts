import type { Log } from '../../log.js'

const QUIET_MS = 60_000

/** Says in the log that messages are thrown away, at most once a minute, and how many. */
export class RefusedLog {
  readonly #log: Log
  readonly #connector: string
  #count = 0
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(log: Log, connector: string) {
    this.#log = log
    this.#connector = connector
  }

  refused(reason: string): void {
    this.#count++
    const now = performance.now()
    if (now - this.#saidAt < QUIET_MS) return
    this.#log.warn(
      { connector: this.#connector, reason, count: this.#count },
      'messages of a broker were thrown away; the reason is the last one’s',
    )
    this.#count = 0
    this.#saidAt = now
  }
}
