import { KindGuard, type TSchema } from '@sinclair/typebox'
import { Value, type ValueError, ValueErrorType, ValuePointer } from '@sinclair/typebox/value'
import type { JsonObject } from '../protocol/index.js'
import { expectation, found, mayHoldSecret } from './expectation.js'
import { childSchema } from './keys.js'
import { isObject, type Merged } from './merge.js'
import { formatPath, type Path } from './paths.js'
import type { Problem } from './problems.js'
import { type Config, ConfigSchema } from './schema.js'
import { didYouMean } from './suggest.js'

/**
 * Fills in the defaults and checks the types. `config` is complete and of the right type only where no problem says
 * otherwise.
 */
export function validate(merged: Merged): { config: Config; problems: Problem[] } {
  const config = withDefaults(ConfigSchema, merged.value)
  const problems = new Map<string, Problem>()
  for (const { path, message } of explainAll(Value.Errors(ConfigSchema, config), config)) {
    const name = formatPath(path)
    // What is missing is reported by TypeBox again as of a wrong type; the first says it.
    if (!problems.has(name)) problems.set(name, { path: name, source: merged.sourceOf(path), message })
  }
  return { config: config as Config, problems: [...problems.values()] }
}

/**
 * A copy with every default filled in, keys in the order of the schema. Not TypeBox's `Value.Default`: that one turns an
 * object where a list belongs into an empty list.
 */
function withDefaults(schema: TSchema | undefined, value: unknown): unknown {
  const given = value === undefined ? structuredClone(schema?.default) : value
  if (Array.isArray(given)) return given.map((item, index) => withDefaults(childSchema(schema, index), item))
  if (!isObject(given)) return given
  const known = schema !== undefined && KindGuard.IsObject(schema) ? Object.keys(schema.properties) : []
  const result: JsonObject = {}
  for (const key of new Set([...known, ...Object.keys(given)])) {
    const filled = withDefaults(childSchema(schema, key), Object.hasOwn(given, key) ? given[key] : undefined)
    if (filled !== undefined) result[key] = filled
  }
  return result
}

interface Finding {
  readonly path: Path
  readonly message: string
}

function* explainAll(errors: Iterable<ValueError>, root: unknown): Generator<Finding> {
  for (const error of errors) yield* explain(error, root)
}

function* explain(error: ValueError, root: unknown): Generator<Finding> {
  const path = pathOf(error.path, root)
  const { schema, value } = error
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    yield* unknownKeys(schema, path, root)
    return
  }
  if (error.type === ValueErrorType.ObjectRequiredProperty) {
    yield { path, message: `expected ${expectation(schema)}, found nothing` }
    return
  }
  if (error.type === ValueErrorType.Union) {
    const variant = unionVariant(schema, value)
    if (variant !== -1) {
      yield* explainAll(error.errors[variant] ?? [], root)
      return
    }
  }
  yield { path, message: `expected ${expectation(schema)}, found ${found(value, mayHoldSecret(schema))}` }
}

function* unknownKeys(schema: TSchema, path: Path, root: unknown): Generator<Finding> {
  const key = String(path.at(-1))
  if (KindGuard.IsObject(schema)) {
    yield { path, message: `unknown key${didYouMean(key, Object.keys(schema.properties))}` }
    return
  }
  // TypeBox stops at the first wrong name of a record; all of them are wanted.
  const around = path.slice(0, -1)
  const pattern = new RegExp(Object.keys(schema.patternProperties as object)[0]!)
  for (const name of Object.keys(valueAt(root, around) as object)) {
    if (pattern.test(name)) continue
    yield { path: [...around, name], message: `expected ${schema.expectedName ?? 'another name'}` }
  }
}

/** Which variant a value was meant to be, where that is plain: an object. */
function unionVariant(schema: TSchema, value: unknown): number {
  if (!KindGuard.IsUnion(schema) || typeof value !== 'object' || value === null) return -1
  return schema.anyOf.findIndex((one) =>
    Array.isArray(value) ? KindGuard.IsArray(one) : KindGuard.IsObject(one),
  )
}

/** @param pointer as TypeBox has it, `/routing/0/agent` */
export function pathOf(pointer: string, root: unknown): Path {
  const path: (string | number)[] = []
  for (const step of ValuePointer.Format(pointer)) {
    path.push(Array.isArray(valueAt(root, path)) ? Number(step) : step)
  }
  return path
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string | number, unknown>)[step]
        : undefined,
    root,
  )
}

/** Who set each leaf of a valid configuration: a place as in `Problem.source`, or `default`. */
export function sourcesOf(config: Config, merged: Merged): Map<string, string> {
  const sources = new Map<string, string>()
  const visit = (value: unknown, path: Path): void => {
    if (isObject(value) && Object.keys(value).length > 0) {
      for (const [key, child] of Object.entries(value)) visit(child, [...path, key])
    } else {
      sources.set(formatPath(path), merged.setterOf(path) ?? 'default')
    }
  }
  visit(config, [])
  return sources
}
