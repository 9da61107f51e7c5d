/** Counts the runs of one agent, so that it is closed only when the last of them has ended. */
export class AgentUse {
  #runs = 0
  #onIdle: (() => void) | null = null

  begin(): void {
    this.#runs++
  }

  end(): void {
    if (--this.#runs === 0) this.#onIdle?.()
  }

  /** Resolves when nothing runs; nothing may begin any more. */
  idle(): Promise<void> {
    if (this.#runs === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }
}
