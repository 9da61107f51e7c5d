import { KindGuard, type Static, type TObject } from '@sinclair/typebox'
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value'
import type { JsonObject } from '../protocol/index.js'
import { expectation, found, mayHoldSecret } from './expectation.js'
import { formatPath } from './paths.js'
import { ConfigError, type Problem } from './problems.js'
import { didYouMean } from './suggest.js'
import { pathOf } from './validate.js'

/**
 * The options of an agent or a connector with their defaults filled in; the given object stays as it is.
 *
 * @param check what the schema cannot say; asked only about options that fit the schema
 * @throws ConfigError with every problem; paths are relative to the options
 */
export function parseOptions<S extends TObject>(
  schema: S,
  options: JsonObject,
  check: (options: Static<S>) => Iterable<Problem> = () => [],
): Static<S> {
  const value = Value.Default(schema, structuredClone(options)) as Static<S>
  const problems = new Map<string, Problem>()
  for (const error of Value.Errors(schema, value)) {
    const problem = explain(error, value)
    // What is missing is reported by TypeBox again as of a wrong type; the first says it.
    if (!problems.has(problem.path)) problems.set(problem.path, problem)
  }
  const all = problems.size > 0 ? [...problems.values()] : [...check(value)]
  if (all.length > 0) throw new ConfigError(all)
  return value
}

function explain({ type, path, schema, value }: ValueError, root: unknown): Problem {
  const steps = pathOf(path, root)
  const where = formatPath(steps)
  if (type === ValueErrorType.ObjectAdditionalProperties && KindGuard.IsObject(schema)) {
    const known = Object.keys(schema.properties)
    const hint = didYouMean(String(steps.at(-1) ?? ''), known) || `; known: ${known.join(', ') || 'none'}`
    return { path: where, message: `unknown option${hint}` }
  }
  return {
    path: where,
    message: `expected ${expectation(schema)}, found ${found(value, mayHoldSecret(schema))}`,
  }
}
