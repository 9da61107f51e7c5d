import { changedPaths, isSection } from './diff.js'
import { childSchema } from './keys.js'
import { isBelow, isLive } from './live-paths.js'
import type { LoadedConfig } from './load.js'
import { formatPath, type Path } from './paths.js'
import { type Config, ConfigSchema } from './schema.js'

/** A change of what is in effect. */
export interface Change {
  readonly before: Readonly<Config>
  readonly after: Readonly<Config>
  /** What relative paths are relative to, and who set what, afterwards. */
  readonly baseDir: string
  readonly sources: ReadonlyMap<string, string> | undefined
}

/** What one part of the gateway does with a change that it has prepared. */
export interface Step {
  /** Puts it to use. Not expected to fail: what may fail belongs into the preparation. */
  apply(): void | Promise<void>
  /** It is not put to use after all. */
  discard?(): void | Promise<void>
}

/** Makes ready what a change needs, and changes nothing yet. What it throws refuses the change. */
export type Prepare = (change: Change) => Step | Promise<Step>

interface Listener {
  readonly prefixes: readonly string[]
  readonly prepare: Prepare
}

/** A change that every part is ready for. One of the two has to follow, and nothing else before. */
export interface PreparedChange {
  /** The settings that differ from the configuration before: those that apply now, and those that wait for a restart. */
  readonly applied: readonly string[]
  readonly restartRequired: readonly string[]
  /** @throws what a part throws; then the values before are in effect again. */
  commit(): Promise<void>
  discard(): Promise<void>
}

export type LoadedPart = Pick<LoadedConfig, 'config' | 'baseDir'> & {
  readonly sources?: LoadedConfig['sources']
}

/**
 * The configuration in effect. `config` is one object for the gateway's whole life, in which a change replaces the values: who
 * reads it when it needs a value sees the present one; who has to do something about a change says so by `onChange`.
 */
export class LiveConfig {
  readonly config: Config
  /** The newest valid configuration: what is in effect, and what waits for a restart. */
  loaded: LoadedPart
  readonly #listeners: Listener[] = []

  constructor(loaded: LoadedPart) {
    this.loaded = loaded
    this.config = copyOf(loaded.config) as Config
  }

  /** Takes part in changes of what is at or below one of the paths; in the order of the calls. */
  onChange(prefixes: readonly string[], prepare: Prepare): void {
    this.#listeners.push({ prefixes, prepare })
  }

  /** The same for a part that only takes over values. */
  onChanged(prefixes: readonly string[], apply: () => void): void {
    this.onChange(prefixes, () => ({ apply }))
  }

  /** The settings that are configured and wait for a restart. */
  get pending(): string[] {
    return changedPaths(this.config, this.loaded.config)
  }

  /** @throws what a part refuses it with. */
  async prepare(next: LoadedPart): Promise<PreparedChange> {
    const before = copyOf(this.config) as Config
    const after = copyOf(this.config) as Config
    takeOver(after, next.config)
    const change = { before, after, baseDir: next.baseDir, sources: next.sources }
    const changed = changedPaths(before, after)
    const steps = await this.#prepare(change, changed)
    const previous = this.loaded
    return {
      applied: changed,
      restartRequired: changedPaths(previous.config, next.config).filter((path) => !isLive(path)),
      discard: () => discard(steps),
      commit: async () => {
        await this.#commit(change, changed, steps)
        this.loaded = next
      },
    }
  }

  async #prepare(
    change: Change,
    changed: readonly string[],
    among = this.#listeners,
  ): Promise<Map<Listener, Step>> {
    const steps = new Map<Listener, Step>()
    try {
      for (const listener of among) {
        const concerns = changed.some((path) => listener.prefixes.some((prefix) => isBelow(path, prefix)))
        if (concerns) steps.set(listener, await listener.prepare(change))
      }
    } catch (error) {
      await discard(steps)
      throw error
    }
    return steps
  }

  async #commit(change: Change, changed: readonly string[], steps: Map<Listener, Step>): Promise<void> {
    takeOver(this.config, change.after)
    const done: Listener[] = []
    try {
      for (const [listener, step] of steps) {
        // Where nothing has to be waited for, all change in the same turn.
        const applying = step.apply()
        if (applying !== undefined) await applying
        done.push(listener)
      }
    } catch (error) {
      await this.#rollBack(change, changed, steps, done)
      throw error
    }
  }

  /** Parts that have changed already change back, the last one first; those that have not let go of what they prepared. */
  async #rollBack(
    { before, after, ...rest }: Change,
    changed: readonly string[],
    steps: Map<Listener, Step>,
    done: readonly Listener[],
  ): Promise<void> {
    takeOver(this.config, before)
    for (const listener of done) steps.delete(listener)
    await discard(steps)
    const back = await this.#prepare({ ...rest, before: after, after: before }, changed, [...done].reverse())
    for (const step of back.values()) await step.apply()
  }
}

async function discard(steps: ReadonlyMap<Listener, Step>): Promise<void> {
  for (const step of steps.values()) await step.discard?.()
}

/** Puts the live values of `from` into `into`. Sections stay the objects that they are: others hold on to them. */
function takeOver(into: Config, from: Readonly<Config>): void {
  const visit = (target: Record<string, unknown>, source: Record<string, unknown>, path: Path): void => {
    const schema = path.reduce(childSchema, ConfigSchema as ReturnType<typeof childSchema>)
    for (const key of new Set([...Object.keys(target), ...Object.keys(source)])) {
      const here = [...path, key]
      if (isSection(childSchema(schema, key))) {
        visit(target[key] as Record<string, unknown>, source[key] as Record<string, unknown>, here)
      } else if (isLive(formatPath(here))) {
        if (source[key] === undefined) delete target[key]
        else target[key] = copyOf(source[key])
      }
    }
  }
  visit(into as Record<string, unknown>, from as Record<string, unknown>, [])
}

/** Of what a configuration is made of. What else those who embed the gateway put into options of plugins stays what it is. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, copyOf(child)]))
}
