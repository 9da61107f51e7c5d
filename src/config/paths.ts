import { homedir } from 'node:os'
import { resolve } from 'node:path'

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

/** The state folder: `LURKBOT_HOME`, or `~/.lurkbot`. */
export function resolveHome(env: NodeJS.ProcessEnv, cwd: string): string {
  return resolveConfigPath(cwd, env.LURKBOT_HOME || '~/.lurkbot')
}
