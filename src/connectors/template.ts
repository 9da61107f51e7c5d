import type { Problem } from '../config/problems.js'

/** A text with places to fill: `{{payload.repository.full_name}}`. */
export interface Template {
  /** The dotted paths in its places, each once. */
  readonly paths: readonly string[]
  /** A path that leads nowhere leaves its place empty. `encode` is applied to what is filled in. */
  fill(values: Readonly<Record<string, unknown>>, encode?: (text: string) => string): string
}

const PLACE = /\{\{\s*([^{}\s]+)\s*\}\}/g

/**
 * @param roots what a path may begin with
 * @throws Error that says what was expected
 */
export function createTemplate(text: string, roots: readonly string[]): Template {
  const paths = [...new Set([...text.matchAll(PLACE)].map(([, path]) => path!))]
  const known = roots.map((root) => `{{${root}}}`).join(', ')
  if (/\{\{|\}\}/.test(text.replace(PLACE, ''))) {
    throw new Error(`expected each {{ to be closed by }} around a path such as ${known}`)
  }
  for (const path of paths) {
    const [root, ...steps] = path.split('.')
    if (!roots.includes(root!)) throw new Error(`expected a path that begins as ${known}, found {{${path}}}`)
    if (steps.includes('')) throw new Error(`expected a name on each side of a dot, found {{${path}}}`)
  }
  return {
    paths,
    fill: (values, encode = (filled) => filled) =>
      text.replace(PLACE, (_, path: string) => encode(toText(valueAt(values, path)))),
  }
}

/** What is wrong with an option that is a template. */
export function* checkTemplate(
  path: string,
  template: string | undefined,
  roots: readonly string[],
): Generator<Problem> {
  try {
    createTemplate(template ?? '', roots)
  } catch (error) {
    yield { path, message: (error as Error).message }
  }
}

/** What a dotted path leads to; undefined: nowhere. */
export function valueAt(values: unknown, path: string): unknown {
  let value = values
  for (const step of path.split('.')) {
    // Own keys only: a payload must not reach what every object inherits.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

function toText(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
