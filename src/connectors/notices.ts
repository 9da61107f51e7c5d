import type { Target } from './connector.js'

/** How often one conversation is told the same. */
const EVERY_MS = 60_000
/** Conversations of which it is remembered. */
const MAX_TARGETS = 1_000

/** Something that is told once in a while, however often there is reason to. */
export class Notices {
  readonly #tell: (target: Target) => Promise<void>
  /** When each was told, the longest ago first. */
  readonly #told = new Map<string, number>()

  constructor(tell: (target: Target) => Promise<void>) {
    this.#tell = tell
  }

  tell(target: Target): void {
    const key = JSON.stringify([target.peer, target.thread])
    const now = performance.now()
    if (now - (this.#told.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return
    this.#told.delete(key)
    this.#told.set(key, now)
    if (this.#told.size > MAX_TARGETS) this.#told.delete(this.#told.keys().next().value!)
    void this.#tell(target)
  }
}
