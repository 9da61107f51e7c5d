import { isDeepStrictEqual } from 'node:util'
import type { JsonObject } from '../protocol/index.js'
import { isObject } from './merge.js'
import { formatPath, type Path } from './paths.js'
import { ConfigError } from './problems.js'
import { REDACTED } from './redact.js'
import { withoutCredentials } from './secrets.js'

/** What stands for a secret that a client was not shown, and is to stay as it is. */
const PLACEHOLDERS: ReadonlySet<unknown> = new Set([REDACTED, '***'])

/** A JSON merge patch (RFC 7396): objects merge, null removes, anything else replaces. Neither argument is changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: JsonObject = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(own(result, key), value)
  }
  return result
}

/**
 * A copy of `root` in which `path` has this value; undefined: nothing.
 *
 * @throws ConfigError where the path leads nowhere
 */
export function withValueAt(root: JsonObject, path: Path, value: unknown): JsonObject {
  const set = (node: unknown, depth: number): unknown => {
    if (depth === path.length) return value
    const step = path[depth]!
    if (typeof step === 'number') {
      // One past the end adds an item.
      if (!Array.isArray(node) || step > node.length) throw nowhere(path.slice(0, depth + 1))
      const below = set(node[step], depth + 1)
      const items = [...node]
      items.splice(step, 1, ...(below === undefined ? [] : [below]))
      return items
    }
    if (node !== undefined && node !== null && !isObject(node)) throw nowhere(path.slice(0, depth + 1))
    const result: JsonObject = { ...(node ?? {}) }
    const below = set(own(result, step), depth + 1)
    if (below === undefined) delete result[step]
    else result[step] = below
    return result
  }
  return set(root, 0) as JsonObject
}

/**
 * A copy of `given` with the secrets of `current` where it has placeholders for them: a secret comes from the same place, in a
 * list from the item of the same name.
 *
 * @throws ConfigError naming the places for which there is no secret
 */
export function withSecrets(given: JsonObject, current: JsonObject): JsonObject {
  const restore = (value: unknown, before: unknown, path: Path): unknown => {
    if (typeof value === 'string') return text(value, before, path)
    if (Array.isArray(value)) {
      return value.map((item, index) =>
        restore(item, counterpart(item, index, value, before), [...path, index]),
      )
    }
    if (!isObject(value)) return value
    const entries = Object.entries(value)
    return Object.fromEntries(
      entries.map(([key, child]) => [
        key,
        restore(child, isObject(before) ? own(before, key) : undefined, [...path, key]),
      ]),
    )
  }
  return restore(given, current, []) as JsonObject
}

function text(value: string, before: unknown, path: Path): string {
  const isPlaceholder = PLACEHOLDERS.has(value)
  if (!isPlaceholder && !value.includes(`://${REDACTED}@`)) return value
  if (typeof before === 'string' && (isPlaceholder || withoutCredentials(before) === value)) return before
  const message = `expected a value: '${value}' stands for a secret of the configuration file, which has none there`
  throw new ConfigError([{ path: formatPath(path), message }])
}

/** Items without a name are told apart by their place alone, which says nothing once the list is shorter or longer. */
function counterpart(item: unknown, index: number, list: readonly unknown[], before: unknown): unknown {
  if (!Array.isArray(before)) return undefined
  const name = isObject(item) ? item.name : undefined
  if (typeof name === 'string') return before.find((one) => isObject(one) && one.name === name)
  return before.length === list.length ? before[index] : undefined
}

/** A place in a file whose value changes; undefined: it goes. */
export interface Edit {
  readonly path: Path
  readonly value: unknown
}

/** The smallest places whose change makes the one of the other. */
export function editsBetween(before: unknown, after: unknown, path: Path = []): Edit[] {
  if (isObject(before) && isObject(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => editsBetween(own(before, key), own(after, key), [...path, key]))
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return after.flatMap((item, index) => editsBetween(before[index], item, [...path, index]))
  }
  return isDeepStrictEqual(before, after) ? [] : [{ path, value: after }]
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function nowhere(path: Path): ConfigError {
  return new ConfigError([
    { path: formatPath(path), message: 'leads nowhere: what is around it is no such thing' },
  ])
}
