import { setTimeout as delay } from 'node:timers/promises'
import { skillFiles } from './scan.js'

/**
 * How often the folders are looked at. Watches of the system miss what happens while they are set up, as a skill is unpacked,
 * and on shared folders most of it; a look costs a few file names and times.
 */
const POLL_MS = 1_000
/** A skill is saved or unpacked in several steps: it is read once nothing has changed for so long. */
const SETTLE_MS = 100
/** In a folder that never rests. */
const MAX_SETTLES = 10

/** Watches the skill folders, those that do not exist yet included. */
export class SkillWatcher {
  readonly #folders: readonly string[]
  readonly #onChange: () => Promise<void>
  readonly #stop = new AbortController()
  #watching: Promise<void> = Promise.resolve()

  constructor(folders: readonly string[], onChange: () => Promise<void>) {
    this.#folders = folders
    this.#onChange = onChange
  }

  /** Begins to watch, and reads the folders once. */
  async start(): Promise<void> {
    const seen = await this.#look()
    await this.#onChange()
    this.#watching = this.#watch(seen)
  }

  /** Stops watching and waits for a change that is being read. Closing twice is fine. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#watching
  }

  async #watch(seen: string): Promise<void> {
    const { signal } = this.#stop
    const pause = (ms: number) => delay(ms, undefined, { signal, ref: false }).catch(() => {})
    for (let before = seen; !signal.aborted; await pause(POLL_MS)) {
      let now = await this.#look()
      if (now === before) continue
      for (let settles = 0; settles < MAX_SETTLES && !signal.aborted; settles++) {
        const last = now
        await pause(SETTLE_MS)
        now = await this.#look()
        if (now === last) break
      }
      before = now
      await this.#onChange()
    }
  }

  /** Changes with everything that matters. */
  async #look(): Promise<string> {
    const files = await Promise.all(this.#folders.map((folder) => skillFiles(folder).catch(() => null)))
    return JSON.stringify(files)
  }
}
