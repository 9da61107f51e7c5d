/** What stops one try of a run. The signal is made only for agents that look at it. */
export class Stop {
  /** Told at once, before the agent. */
  onAbort: (() => void) | null = null
  #aborted = false
  #reason: unknown
  #controller: AbortController | null = null

  get aborted(): boolean {
    return this.#aborted
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** The first reason stands. */
  abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    this.onAbort?.()
    this.#controller?.abort(reason)
  }
}
