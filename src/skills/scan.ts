import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { checkDocument } from '../config/document.js'
import { readFrontMatter } from '../config/front-matter.js'
import type { Problem } from '../config/problems.js'
import type { SkillSource } from '../protocol/index.js'
import { missingOf } from './requirements.js'
import { type FoundSkill, SkillHead } from './skill.js'

export interface SkillFolder {
  readonly source: SkillSource
  readonly path: string
  /** It need not exist. */
  readonly optional: boolean
}

export interface ScanLimits {
  readonly maxSkills: number
  readonly maxBytes: number
}

interface SkillFileState {
  readonly path: string
  readonly ino: number
  readonly size: number
  readonly mtimeMs: number
}

const SKILL_FILE = 'SKILL.md'
/** Of a folder that holds something else, no more is looked at. */
const MAX_ENTRIES = 1_000

/**
 * Reads the skills of the folders, in their order: `<folder>/<name>/SKILL.md`. One that cannot be used is left out and told in
 * `problems`.
 */
export async function scanSkills(
  folders: readonly SkillFolder[],
  limits: ScanLimits,
  env: NodeJS.ProcessEnv,
  problems: Problem[],
): Promise<FoundSkill[]> {
  const found: FoundSkill[] = []
  for (const folder of folders) {
    const inFolder = new Map<string, string>()
    for (const path of await filesOf(folder, problems)) {
      if (found.length >= limits.maxSkills) {
        const message = `expected at most ${limits.maxSkills} skills in all; further ones are left out`
        problems.push({ path: '', source: path, message })
        return found
      }
      const skill = await readSkill(path, folder.source, limits.maxBytes, env, problems)
      if (skill === null) continue
      const same = inFolder.get(skill.name)
      if (same === undefined) {
        inFolder.set(skill.name, path)
        found.push(skill)
      } else {
        problems.push({
          path: 'name',
          source: path,
          message: `expected a name of its own, found that of ${same}`,
        })
      }
    }
  }
  return found
}

/** The skills of a folder, in the order of their names, and what tells each from what it was. @throws the file system's error */
export async function skillFiles(folder: string): Promise<SkillFileState[]> {
  const names = await readdir(folder)
  const files = names
    .filter((name) => !name.startsWith('.'))
    .sort()
    .slice(0, MAX_ENTRIES)
    .map((name) => join(folder, name, SKILL_FILE))
  const states = await Promise.all(
    files.map(async (path) => {
      const stats = await stat(path).catch(() => null)
      return stats && { path, ino: stats.ino, size: stats.size, mtimeMs: stats.mtimeMs }
    }),
  )
  return states.filter((state) => state !== null)
}

async function filesOf({ path, optional }: SkillFolder, problems: Problem[]): Promise<string[]> {
  try {
    return (await skillFiles(path)).map((file) => file.path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' || !optional) {
      const found = code === 'ENOENT' ? 'nothing' : message
      problems.push({ path: '', source: path, message: `expected a folder with skills, found ${found}` })
    }
    return []
  }
}

async function readSkill(
  path: string,
  source: SkillSource,
  maxBytes: number,
  env: NodeJS.ProcessEnv,
  problems: Problem[],
): Promise<FoundSkill | null> {
  try {
    const text = await readFrontMatter(path, maxBytes, problems)
    const head = text && checkDocument(SkillHead, text.head, problems)
    if (head === undefined) return null
    const { name, description, requires = {} } = head
    return { name, description, source, path, body: text!.body, missing: await missingOf(requires, env) }
  } catch (error) {
    problems.push({ path: '', source: path, message: `cannot be read: ${(error as Error).message}` })
    return null
  }
}
