import { formatPath, type Path } from './paths.js'

const MAX_VALUES = 100_000
export const MAX_DEPTH = 100

export class PlainError extends Error {
  readonly path: Path

  constructor(path: Path, message: string) {
    super(message)
    this.path = path
  }
}

/**
 * Copies what a parser gave into a tree of its own. YAML aliases let a small text stand for a huge or endless tree, so
 * its size and depth are bounded; keys that could reach a prototype are refused.
 *
 * @throws PlainError
 */
export function plainCopy(value: unknown): unknown {
  let values = 0
  const copy = (node: unknown, path: Path): unknown => {
    if (++values > MAX_VALUES) throw new PlainError([], `holds more than ${MAX_VALUES} values`)
    if (typeof node !== 'object' || node === null) return node
    if (path.length >= MAX_DEPTH) throw new PlainError([], `is nested deeper than ${MAX_DEPTH} levels`)
    if (Array.isArray(node)) return node.map((child, index) => copy(child, [...path, index]))
    const result: Record<string, unknown> = {}
    for (const [key, child] of Object.entries(node)) {
      const here = [...path, key]
      if (key === '__proto__') throw new PlainError(path, `the key '__proto__' is not allowed`)
      if (key === '<<') throw new PlainError(path, 'YAML merge keys (<<) are not supported')
      result[key] = copy(child, here)
    }
    return result
  }
  return copy(value, [])
}

/** The problem's path as text, for a `PlainError` that was found below `base`. */
export function plainErrorPath(base: Path, error: PlainError): string {
  return formatPath([...base, ...error.path])
}
