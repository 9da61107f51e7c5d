/** Lets work of the same session happen one after the other, in the order of the calls; keeps nothing of one at rest. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Whether work of this session is under way. */
  has(sessionKey: string): boolean {
    return this.#last.has(sessionKey)
  }

  /** Resolves when the work that is under way now has ended, however it ended; null: there is none. */
  end(sessionKey: string): Promise<void> | null {
    const done = () => {}
    return this.#last.get(sessionKey)?.then(done, done) ?? null
  }

  async take<T>(sessionKey: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(sessionKey)
    const turn = before === undefined ? work() : before.then(work, work)
    this.#last.set(sessionKey, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(sessionKey) === turn) this.#last.delete(sessionKey)
    }
  }
}
