import { randomUUID } from 'node:crypto'
import type { Lease } from './journal.js'

/**
 * Sessions whose newest lease is remembered. With more, the one leased longest ago is forgotten, and any lease of it counts
 * as current: in one process that takes as many lanes begun during a single run.
 */
const MAX_SESSIONS = 200_000

/** Leases of one process: granted at once, each one fencing off the one before (design, Beyond one machine). */
export class Leases {
  readonly #owner = randomUUID()
  readonly #newest = new Map<string, number>()
  #fence = 0

  grant(sessionKey: string): Lease {
    const fence = ++this.#fence
    this.#newest.delete(sessionKey)
    this.#newest.set(sessionKey, fence)
    if (this.#newest.size > MAX_SESSIONS) {
      const oldest = this.#newest.keys().next()
      if (!oldest.done) this.#newest.delete(oldest.value)
    }
    return { sessionKey, owner: this.#owner, fence }
  }

  isCurrent(lease: Lease): boolean {
    if (lease.owner !== this.#owner) return false
    const newest = this.#newest.get(lease.sessionKey)
    return newest === undefined || newest === lease.fence
  }
}
