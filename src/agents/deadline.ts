import type { GatewayError } from '../protocol/errors.js'

/** A signal that aborts with another one, and when nothing was heard for too long. Close it in `finally`. */
export class Deadline {
  readonly #control = new AbortController()
  readonly #parent: AbortSignal
  readonly #follow = () => this.#control.abort(this.#parent.reason)
  #timer: NodeJS.Timeout | undefined

  constructor(parent: AbortSignal) {
    this.#parent = parent
    if (parent.aborted) this.#follow()
    else parent.addEventListener('abort', this.#follow, { once: true })
  }

  get signal(): AbortSignal {
    return this.#control.signal
  }

  /** Replaces the limit before: unless `touch` is called, the signal aborts with `error` in `timeoutMs`. */
  limit(timeoutMs: number, error: GatewayError): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#control.abort(error), timeoutMs)
  }

  /** Something was heard: the limit counts from now. */
  touch(): void {
    this.#timer?.refresh()
  }

  /** Aborts whatever still hangs on the signal. Closing twice is fine. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#parent.removeEventListener('abort', this.#follow)
    this.#control.abort()
  }
}
