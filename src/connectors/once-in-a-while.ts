/** How often the same is due. */
const EVERY_MS = 60_000
/** Things of which it is remembered. */
const MAX_KEYS = 1_000

/** What is said once in a while, however often there is reason to. */
export class OnceInAWhile {
  /** When each was said, the longest ago first. */
  readonly #said = new Map<string, number>()

  /** Whether to say it now. */
  due(key: string): boolean {
    const now = performance.now()
    if (now - (this.#said.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return false
    this.#said.delete(key)
    this.#said.set(key, now)
    if (this.#said.size > MAX_KEYS) this.#said.delete(this.#said.keys().next().value!)
    return true
  }
}
