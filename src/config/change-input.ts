import { access } from 'node:fs/promises'
import { GatewayError, type JsonObject } from '../protocol/index.js'
import { readIfThere } from './config-file.js'
import { parseConfigText } from './file.js'
import { isBelow } from './live-paths.js'
import type { LoadedConfig } from './load.js'
import { isObject } from './merge.js'
import type { Edit } from './patch.js'
import { formatPath, type Path, parsePath } from './paths.js'
import { PlainError, plainCopy, plainErrorPath } from './plain.js'
import { ConfigError, type Problem } from './problems.js'

/** What environment and flags say wins over the file: to write it there would change nothing. */
export function refuseOverridden(edits: readonly Edit[], { sources }: LoadedConfig): void {
  const problems: Problem[] = []
  for (const path of edits.flatMap(leavesOf)) {
    for (const [leaf, source] of sources) {
      if (!/^(?:environment|flag) /.test(source)) continue
      if (!isBelow(leaf, path) && !isBelow(path, leaf)) continue
      problems.push({
        path: leaf,
        source,
        message: `is set by ${source}, which wins over the file: change it there`,
      })
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

function leavesOf({ path, value }: Edit): string[] {
  if (!isObject(value) || Object.keys(value).length === 0) return [formatPath(path)]
  return Object.entries(value).flatMap(([key, child]) => leavesOf({ path: [...path, key], value: child }))
}

export async function parseFile(path: string, text: string): Promise<JsonObject> {
  const problems: Problem[] = []
  const layer = await parseConfigText(path, text, problems)
  if (layer === undefined) throw new ConfigError(problems)
  return layer.value
}

export async function readFile(path: string): Promise<string> {
  try {
    return await readIfThere(path)
  } catch (error) {
    throw new ConfigError([{ path: '', source: path, message: messageOf(error) }])
  }
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

export function requirePath(text: string): Path {
  const path = parsePath(text)
  if (path === null) throw invalidParams('params.path', 'a path such as lanes.capacity or routing[0].agent')
  return path
}

export function plainValue<T>(value: T): T {
  try {
    return plainCopy(value) as T
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    throw new ConfigError([{ path: plainErrorPath([], error), message: error.message }])
  }
}

export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string | number, unknown>)[step]
        : undefined,
    root,
  )
}

export function conflict(hash: string): GatewayError {
  const message = 'The configuration file has changed since: read it again with config.get.'
  return new GatewayError('CONFLICT', message, { details: { hash } })
}

export function invalidParams(path: string, expected: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
