import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { ConfigError } from './problems.js'

/** A place in the configuration: keys and list positions. */
export type Path = readonly (string | number)[]

const PLAIN = /^[A-Za-z0-9_$-]+$/

/** `['routing', 0, 'agent']` → `routing[0].agent`. */
export function formatPath(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (!PLAIN.test(step)) text += `[${JSON.stringify(step)}]`
    else text += text === '' ? step : `.${step}`
  }
  return text
}

/** `routing[0].agent` → `['routing', 0, 'agent']`; null: it is no such path. Empty: the whole. */
export function parsePath(text: string): Path | null {
  const path: (string | number)[] = []
  let at = 0
  while (at < text.length) {
    STEP.lastIndex = at
    const found = STEP.exec(text)
    if (found === null) return null
    const [whole, dot, key, index, quoted] = found
    if (key !== undefined) {
      if ((dot === '.') !== at > 0) return null
      path.push(key)
    } else if (index !== undefined) path.push(Number(index))
    else {
      const name = unquoted(quoted!)
      if (name === null) return null
      path.push(name)
    }
    at += whole.length
  }
  return path
}

const STEP = /(\.?)([A-Za-z0-9_$-]+)|\[(?:(\d{1,9})|("(?:[^"\\]|\\.)*"))\]/y

function unquoted(text: string): string | null {
  try {
    return JSON.parse(text) as string
  } catch {
    return null
  }
}

/** A file path from the configuration: `~/` is the home folder, relative ones start at `baseDir`. */
export function resolveConfigPath(baseDir: string, path: string): string {
  if (path === '~' || path.startsWith('~/')) return resolve(homedir(), path.slice(2))
  return resolve(baseDir, path)
}

/** It becomes part of the names of a folder and of a service. */
const PROFILE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/
export const PROFILE_EXPECTED = 'a name of letters, digits, `_` and `-`, at most 32'

export const isProfile = (name: string): boolean => PROFILE.test(name)

/** The profile whose state folder is used; null: none, or `LURKBOT_HOME` names the folder. */
export function profileOf(env: NodeJS.ProcessEnv): string | null {
  return (!env.LURKBOT_HOME && env.LURKBOT_PROFILE) || null
}

/**
 * The state folder: `LURKBOT_HOME`; or `~/.lurkbot-NAME` for the profile that `LURKBOT_PROFILE` names; or `~/.lurkbot`.
 *
 * @throws ConfigError for a profile whose name is none.
 */
export function resolveHome(env: NodeJS.ProcessEnv, cwd: string): string {
  if (env.LURKBOT_HOME) return resolveConfigPath(cwd, env.LURKBOT_HOME)
  const profile = profileOf(env)
  if (profile === null) return resolve(homedir(), '.lurkbot')
  if (isProfile(profile)) return resolve(homedir(), `.lurkbot-${profile}`)
  const message = `expected ${PROFILE_EXPECTED}, found '${profile}'`
  throw new ConfigError([{ path: '', source: 'environment LURKBOT_PROFILE', message }])
}
