import { stat } from 'node:fs/promises'

export interface FileWatchOptions {
  /** Which file; asked anew at each look. */
  readonly path: () => string | Promise<string>
  /** Milliseconds; read anew before each look. `watchIntervalMs` 0: nothing is looked at. */
  readonly config: { readonly watchIntervalMs: number; readonly settleMs: number }
  /** The file is another one, and has been as it is for `settleMs`. Must not reject. */
  readonly onChange: () => Promise<void>
}

/** How soon to ask again whether watching was turned on. */
const OFF_MS = 1_000
const NOTHING = 'nothing'

/**
 * Notices that a file was changed, replaced, made or removed, by looking at it. Looking costs nothing, sees through links, mounts and
 * network folders, and minds no editor's rename; a watch on the state folder would be woken by every write to the journal in it.
 */
export class FileWatch {
  readonly #options: FileWatchOptions
  #timer: NodeJS.Timeout | null = null
  #known: string | null = null
  /** What was seen last, while that is not what is known; it is known once it has settled. */
  #seen: string | null = null
  #looking: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: FileWatchOptions) {
    this.#options = options
  }

  /** From here on. What the file is now is known. */
  async start(): Promise<void> {
    this.#known = await this.#look()
    this.#schedule()
  }

  /** What the file is now is known: it was written by the gateway itself. */
  async seen(): Promise<void> {
    this.#known = await this.#look()
    this.#seen = null
  }

  /** Resolves when nothing is under way any more. Twice is fine. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#looking
  }

  #schedule(): void {
    if (this.#closed) return
    const { watchIntervalMs, settleMs } = this.#options.config
    const waitMs = watchIntervalMs === 0 ? OFF_MS : this.#seen === null ? watchIntervalMs : settleMs
    this.#timer = setTimeout(() => {
      this.#looking = this.#turn().finally(() => this.#schedule())
    }, waitMs)
    this.#timer.unref()
  }

  async #turn(): Promise<void> {
    if (this.#options.config.watchIntervalMs === 0) return
    const now = await this.#look()
    if (now === this.#known) this.#seen = null
    else if (now !== this.#seen) this.#seen = now
    else {
      this.#known = now
      this.#seen = null
      if (!this.#closed) await this.#options.onChange()
    }
  }

  async #look(): Promise<string> {
    try {
      const path = await this.#options.path()
      const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
      return `${path} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
    } catch {
      // Not there, or not to be read: what reads it says why.
      return NOTHING
    }
  }
}
