import { addressKey } from './address.js'

export interface AttemptsOptions {
  /** Failures in a window after which an address is blocked; 0: never. */
  readonly max: number
  readonly windowMs: number
  /** Addresses that are remembered; the one whose window began first is forgotten first. */
  readonly maxAddresses: number
  /** A clock, ms. Default: one that nobody sets. */
  readonly now?: () => number
}

interface Window {
  readonly since: number
  failures: number
}

/** Counts the failed handshakes of each address in fixed windows (spec §5). Keeps no timer. */
export class FailedAttempts {
  readonly #options: AttemptsOptions
  readonly #now: () => number
  /** In the order in which the windows began. */
  readonly #windows = new Map<string, Window>()

  constructor(options: AttemptsOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Addresses that are remembered at the moment. */
  get size(): number {
    return this.#windows.size
  }

  /** Milliseconds until this address may try again; 0: now. */
  isBlocked(address: string): number {
    const window = this.#current(addressKey(address))
    if (window === undefined || window.failures < this.#options.max) return 0
    return Math.ceil(window.since + this.#options.windowMs - this.#now())
  }

  /** A hello or request of this address was refused for its credentials. */
  failed(address: string): void {
    if (this.#options.max === 0) return
    const key = addressKey(address)
    const window = this.#current(key)
    if (window !== undefined) {
      window.failures++
      return
    }
    if (this.#windows.size >= this.#options.maxAddresses) {
      this.#windows.delete(this.#windows.keys().next().value!)
    }
    this.#windows.set(key, { since: this.#now(), failures: 1 })
  }

  #current(key: string): Window | undefined {
    const window = this.#windows.get(key)
    if (window === undefined) return undefined
    const age = this.#now() - window.since
    // A clock that was set back would block for longer than a window.
    if (age >= 0 && age < this.#options.windowMs) return window
    this.#windows.delete(key)
    return undefined
  }
}
