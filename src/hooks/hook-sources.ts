import { join } from 'node:path'
import { resolveConfigPath } from '../config/paths.js'
import { formatProblem, type Problem } from '../config/problems.js'
import type { Log } from '../log.js'
import type { SourceProblem } from '../protocol/index.js'
import type { RuleHost } from './actions.js'
import type { Hooks } from './hooks.js'
import { loadHookModules } from './modules.js'
import type { HookDefinition } from './registered-hook.js'
import { RulesFile } from './rules-file.js'

export interface HookSourcesOptions {
  readonly hooks: Hooks
  readonly host: RuleHost
  readonly log: Log
  /** The state folder: `hooks/` and hooks.yaml in it need not exist. */
  readonly home: string
  /** What `folders` are relative to. */
  readonly baseDir: string
  readonly folders: readonly string[]
  /** How long one module may take to load. */
  readonly timeoutMs: number
}

/** The hooks that are files: modules of the hook folders and the rules of hooks.yaml. */
export class HookSources {
  readonly #options: HookSourcesOptions
  readonly #rules: RulesFile
  #remove: (() => void)[] = []
  #problems: readonly Problem[] = []
  #reloading: Promise<void> = Promise.resolve()

  constructor(options: HookSourcesOptions) {
    this.#options = options
    this.#rules = new RulesFile({ ...options, path: join(options.home, 'hooks.yaml') })
  }

  /** What is wrong with the files, as they were found last. */
  get problems(): Problem[] {
    return [...this.#problems, ...this.#rules.problems]
  }

  describeProblems(): SourceProblem[] {
    return this.problems.map(({ path, source = '', message }) => ({ path, source, message }))
  }

  /** Reads all of them; never rejects. */
  async reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reloadModules())
    await Promise.all([this.#reloading, this.#rules.reload()])
  }

  /** From here on a changed hooks.yaml applies by itself. */
  watch(): void {
    this.#rules.watch()
  }

  /** Closing twice is fine. */
  async close(): Promise<void> {
    await this.#rules.close()
    await this.#reloading
  }

  async #reloadModules(): Promise<void> {
    const { home, baseDir, folders, timeoutMs, hooks, log } = this.#options
    const problems: Problem[] = []
    const found: HookDefinition[] = []
    const own = join(home, 'hooks')
    for (const folder of [own, ...folders.map((folder) => resolveConfigPath(baseDir, folder))]) {
      found.push(...(await loadHookModules(folder, folder === own, timeoutMs, problems)))
    }
    const definitions = withoutDoubles(found, problems)
    for (const take of this.#remove) take()
    this.#remove = definitions.map((definition) => hooks.add(definition))
    this.#problems = problems
    if (definitions.length > 0)
      log.info({ hooks: definitions.map(({ name }) => name) }, 'hook modules loaded')
    if (problems.length > 0) log.error({ problems: problems.map(formatProblem) }, 'hook modules left out')
  }
}

/** Of those with the same name the first. */
function withoutDoubles(found: readonly HookDefinition[], problems: Problem[]): HookDefinition[] {
  const byName = new Map<string, HookDefinition>()
  for (const definition of found) {
    const { name, source } = definition
    const same = byName.get(name)
    if (same === undefined) byName.set(name, definition)
    else
      problems.push({ path: '', source, message: `expected a name of its own, found that of ${same.source}` })
  }
  return [...byName.values()]
}
