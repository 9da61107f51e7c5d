import { isDeepStrictEqual } from 'node:util'
import { formatProblem, type Problem } from '../config/problems.js'
import type { Log } from '../log.js'
import { GatewayError, type SkillDescription, type SourceProblem } from '../protocol/index.js'
import { type ScanLimits, type SkillFolder, scanSkills } from './scan.js'
import { type FoundSkill, NO_SKILLS, type Skill, type SkillSelection } from './skill.js'

export interface SkillsOptions extends ScanLimits {
  /** Of skills of the same name that of the last folder wins. */
  readonly folders: readonly SkillFolder[]
  readonly env: NodeJS.ProcessEnv
  readonly log: Log
  readonly onChanged: (changes: SkillChanges) => void
}

/** Names. */
export interface SkillChanges {
  readonly added: string[]
  readonly changed: string[]
  readonly removed: string[]
}

/** The skills of the skill folders (spec §2, `skills.*`), as they were found last. */
export class Skills {
  readonly #options: SkillsOptions
  #byName: ReadonlyMap<string, FoundSkill> = new Map()
  #hidden: ReadonlyMap<string, readonly FoundSkill[]> = new Map()
  #problems: readonly Problem[] = []
  /** What agents are given, by their selection; made once for all runs. */
  readonly #given = new Map<SkillSelection, readonly Skill[]>()
  #reloading: Promise<void> = Promise.resolve()
  #isLoaded = false

  constructor(options: SkillsOptions) {
    this.#options = options
  }

  /** Reads all folders; never rejects. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload())
    return this.#reloading
  }

  /** What an agent is given: skills that lack nothing. The same list until something changes. */
  select(selection: SkillSelection): readonly Skill[] {
    if (selection === 'none' || this.#byName.size === 0) return NO_SKILLS
    let given = this.#given.get(selection)
    if (given === undefined) {
      given = Object.freeze([...this.#chosen(selection)])
      this.#given.set(selection, given)
    }
    return given
  }

  /** By name. */
  list(): SkillDescription[] {
    return [...this.#byName.values()].map((skill) => this.#describe(skill))
  }

  problems(): SourceProblem[] {
    return this.#problems.map(({ path, source = '', message }) => ({ path, source, message }))
  }

  /** @throws `NOT_FOUND`. */
  get(name: string): { skill: SkillDescription; body: string } {
    const found = this.#byName.get(name)
    if (found !== undefined) return { skill: this.#describe(found), body: found.body }
    throw new GatewayError('NOT_FOUND', 'There is no such skill.', { details: { name } })
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  *#chosen(selection: Exclude<SkillSelection, 'none'>): Generator<Skill> {
    const names = selection === 'all' ? this.#byName.keys() : new Set(selection)
    for (const name of names) {
      const found = this.#byName.get(name)
      if (found === undefined || !isReady(found)) continue
      // The gateway’s own are for those who ask for them.
      if (selection === 'all' && found.source === 'builtin') continue
      const { missing: _, ...skill } = found
      yield Object.freeze(skill)
    }
  }

  #describe(found: FoundSkill): SkillDescription {
    const { name, description, source, path, missing } = found
    const hides = (this.#hidden.get(name) ?? []).map(({ source, path }) => ({ source, path }))
    return { name, description, source, path, ready: isReady(found), missing, hides }
  }

  async #reload(): Promise<void> {
    const { folders, env, log, onChanged } = this.#options
    const problems: Problem[] = []
    const byName = new Map<string, FoundSkill>()
    const hidden = new Map<string, readonly FoundSkill[]>()
    for (const skill of await scanSkills(folders, this.#options, env, problems)) {
      const { name } = skill
      const before = byName.get(name)
      if (before !== undefined) hidden.set(name, [before, ...(hidden.get(name) ?? [])])
      byName.set(name, skill)
    }
    const changes = changesBetween(this.#byName, byName)
    this.#byName = new Map([...byName].sort(([a], [b]) => (a < b ? -1 : 1)))
    this.#hidden = hidden
    this.#given.clear()
    if (problems.length > 0 && !isDeepStrictEqual(problems, this.#problems)) {
      log.warn({ problems: problems.map(formatProblem) }, 'skills left out')
    }
    this.#problems = problems
    // What is there at the start is no change.
    if (this.#isLoaded && Object.values(changes).some((names) => names.length > 0)) onChanged(changes)
    this.#isLoaded = true
  }
}

function isReady({ missing: { bins, env, os } }: FoundSkill): boolean {
  return bins.length === 0 && env.length === 0 && os.length === 0
}

function changesBetween(
  before: ReadonlyMap<string, FoundSkill>,
  now: ReadonlyMap<string, FoundSkill>,
): SkillChanges {
  const names = [...now.keys()]
  return {
    added: names.filter((name) => !before.has(name)),
    changed: names.filter((name) => before.has(name) && !isDeepStrictEqual(before.get(name), now.get(name))),
    removed: [...before.keys()].filter((name) => !now.has(name)),
  }
}
