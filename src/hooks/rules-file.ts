import { type Stats, unwatchFile, watchFile } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { readConfigFile } from '../config/file.js'
import { formatProblem, type Problem } from '../config/problems.js'
import type { Log } from '../log.js'
import type { RuleHost } from './actions.js'
import type { Hooks } from './hooks.js'

export interface RulesFileOptions {
  /** hooks.yaml, which need not exist. */
  readonly path: string
  readonly hooks: Hooks
  readonly host: RuleHost
  readonly log: Log
}

/**
 * How often the file is looked at. The state folder holds the journal as well: a watch on the folder would wake the gateway
 * with each of its writes.
 */
const POLL_MS = 1_000

/** The rules of hooks.yaml at work; a changed file applies as it is, a bad one keeps the rules that were. */
export class RulesFile {
  /** What is wrong with the file as it is now. */
  problems: readonly Problem[] = []
  readonly #options: RulesFileOptions
  #remove: (() => void)[] = []
  /** What the rules in use were made of. */
  #inUse: unknown
  #reloading: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: RulesFileOptions) {
    this.#options = options
  }

  /** Reads the file and applies it; never rejects. */
  reload(): Promise<void> {
    const { path, log } = this.#options
    this.#reloading = this.#reloading
      .then(async () => {
        if (!this.#closed) await this.#reload()
      })
      .catch((err: unknown) => log.error({ err, file: path }, 'hooks.yaml could not be looked at'))
    return this.#reloading
  }

  /** From here on a change applies by itself. */
  watch(): void {
    watchFile(this.#options.path, { interval: POLL_MS, persistent: false }, this.#changed)
  }

  /** Closing twice is fine. */
  async close(): Promise<void> {
    this.#closed = true
    unwatchFile(this.#options.path, this.#changed)
    await this.#reloading
  }

  readonly #changed = (now: Stats, before: Stats): void => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size || now.ino !== before.ino)
      void this.reload()
  }

  async #reload(): Promise<void> {
    const { path, hooks, host, log } = this.#options
    if (!(await isThere(path))) {
      if (this.#remove.length > 0) log.info({ file: path }, 'hooks.yaml is gone, and its hooks with it')
      this.#apply([], undefined)
      this.#report([])
      return
    }
    const problems: Problem[] = []
    const layer = await readConfigFile(path, problems)
    if (layer !== undefined && !isDeepStrictEqual(layer.value, this.#inUse)) {
      // Only those who have such a file pay for loading what it needs.
      const { createRules } = await import('./rules.js')
      const rules = createRules(layer, host, problems)
      if (problems.length === 0) {
        this.#apply(
          rules.map((rule) => hooks.add(rule)),
          layer.value,
        )
        log.info({ file: path, hooks: rules.length }, 'hooks.yaml applies')
      }
    }
    this.#report(problems)
  }

  #apply(remove: (() => void)[], value: unknown): void {
    for (const take of this.#remove) take()
    this.#remove = remove
    this.#inUse = value
  }

  #report(problems: readonly Problem[]): void {
    this.problems = problems
    if (problems.length === 0) return
    const { path, log } = this.#options
    const fields = { file: path, problems: problems.map(formatProblem) }
    log.error(fields, 'hooks.yaml cannot be used; the rules that were stay')
  }
}

/** A link to nowhere is a file that cannot be read, not one that is not there. */
function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  )
}
