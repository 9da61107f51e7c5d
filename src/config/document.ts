import { KindGuard, type Static, type TObject } from '@sinclair/typebox'
import { Value, type ValueError, ValueErrorType, ValuePointer } from '@sinclair/typebox/value'
import { expectation, found, mayHoldSecret } from './expectation.js'
import type { Layer } from './merge.js'
import { formatPath, type Path } from './paths.js'
import type { Problem } from './problems.js'
import { didYouMean } from './suggest.js'

/**
 * Checks what a file other than the configuration says, which has no defaults to fill in. Every problem is told with its place;
 * then the answer is undefined.
 */
export function checkDocument<S extends TObject>(
  schema: S,
  { value, source }: Layer,
  problems: Problem[],
): Static<S> | undefined {
  const found = new Map<string, Problem>()
  for (const error of Value.Errors(schema, value)) {
    const path = pathOf(error.path, value)
    const name = formatPath(path)
    // What is missing is reported by TypeBox again as of a wrong type; the first says it.
    if (!found.has(name)) found.set(name, { path: name, source: source(path), message: explain(error, path) })
  }
  problems.push(...found.values())
  return found.size === 0 ? (value as Static<S>) : undefined
}

function explain({ type, schema, value }: ValueError, path: Path): string {
  if (type === ValueErrorType.ObjectAdditionalProperties && KindGuard.IsObject(schema)) {
    const known = Object.keys(schema.properties)
    return `unknown key${didYouMean(String(path.at(-1)), known) || `; known: ${known.join(', ')}`}`
  }
  return `expected ${expectation(schema)}, found ${found(value, mayHoldSecret(schema))}`
}

/** List positions as numbers. */
function pathOf(pointer: string, root: unknown): Path {
  const path: (string | number)[] = []
  let value = root
  for (const step of ValuePointer.Format(pointer)) {
    path.push(Array.isArray(value) ? Number(step) : step)
    value = (value as Record<string, unknown> | null | undefined)?.[step]
  }
  return path
}
