import { type Stats, unwatchFile, watchFile } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { FSWatcher } from 'chokidar'
import type { Log } from '../log.js'
import { SKILL_FILE } from './scan.js'

/** A skill is saved, moved or unpacked in several steps: what happens within this time is one change. */
const SETTLE_MS = 200
/** How often a folder that is not there is looked for. */
const POLL_MS = 1_000
/** Folder, skill, SKILL.md. */
const DEPTH = 1

/** Watches the skill folders; those that do not exist, from when they do. */
export class SkillWatcher {
  readonly #folders: readonly string[]
  readonly #onChange: () => Promise<void>
  readonly #log: Log
  readonly #awaited = new Map<string, (now: Stats) => void>()
  #watcher: Promise<FSWatcher> | null = null
  #timer: NodeJS.Timeout | null = null
  #changing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(folders: readonly string[], onChange: () => Promise<void>, log: Log) {
    this.#folders = folders
    this.#onChange = onChange
    this.#log = log
  }

  /** Begins to watch; what has changed since the folders were read is found. */
  async start(): Promise<void> {
    await Promise.all(this.#folders.map((folder) => this.#begin(folder)))
    if (this.#watcher !== null) this.#changed()
  }

  /** Stops watching and waits for a change that is being read. Closing twice is fine. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (const [folder, listener] of this.#awaited) unwatchFile(folder, listener)
    this.#awaited.clear()
    await (await this.#watcher)?.close()
    await this.#changing
  }

  async #begin(folder: string): Promise<void> {
    const exists = await stat(folder).then(
      () => true,
      () => false,
    )
    if (this.#closed) return
    if (exists) await this.#watch(folder)
    else this.#await(folder)
  }

  #await(folder: string): void {
    const listener = ({ nlink }: Stats) => {
      if (nlink === 0) return
      unwatchFile(folder, listener)
      this.#awaited.delete(folder)
      this.#watch(folder)
        .then(this.#changed)
        .catch((err: unknown) => this.#log.error({ err, folder }, 'a skill folder is not watched'))
    }
    this.#awaited.set(folder, listener)
    watchFile(folder, { interval: POLL_MS, persistent: false }, listener)
  }

  async #watch(folder: string): Promise<void> {
    if (this.#closed) return
    this.#watcher ??= this.#create()
    const watcher = await this.#watcher
    watcher.add(folder)
  }

  async #create(): Promise<FSWatcher> {
    // Only those who have skills pay for loading it.
    const { watch } = await import('chokidar')
    const watcher = watch([], {
      depth: DEPTH,
      ignoreInitial: true,
      ignored: (path, stats) => stats?.isFile() === true && basename(path) !== SKILL_FILE,
    })
    watcher.on('error', (err) => this.#log.error({ err }, 'skill folders are not watched'))
    watcher.on('all', this.#changed)
    return watcher
  }

  readonly #changed = (): void => {
    // One that is set stays as it is: in a busy folder it would else be put off for ever.
    if (this.#closed || this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#changing = this.#changing.then(this.#onChange)
    }, SETTLE_MS).unref()
  }
}
