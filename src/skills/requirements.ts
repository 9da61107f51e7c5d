import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { SkillDescription } from '../protocol/index.js'
import type { Requirements } from './skill.js'

/** What of it is not there. */
export async function missingOf(
  { bins = [], env = [], os = [] }: Requirements,
  variables: NodeJS.ProcessEnv,
): Promise<SkillDescription['missing']> {
  const folders = (variables.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const there = await Promise.all(bins.map((bin) => isInPath(bin, folders)))
  return {
    bins: bins.filter((_, index) => !there[index]),
    env: env.filter((name) => !variables[name]),
    os: os.length === 0 || os.includes(process.platform) ? [] : [...os],
  }
}

async function isInPath(bin: string, folders: readonly string[]): Promise<boolean> {
  // A path is no name of a program, and would lead out of the folders.
  if (/[/\\]/.test(bin)) return false
  const suffixes = process.platform === 'win32' ? ['.exe', '.cmd', '.bat', ''] : ['']
  for (const folder of folders) {
    for (const suffix of suffixes) if (await isProgram(join(folder, bin + suffix))) return true
  }
  return false
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
