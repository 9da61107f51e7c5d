import { KindGuard, type TSchema } from '@sinclair/typebox'
import { ConfigSchema } from './schema.js'

export const ENV_PREFIX = 'LURKBOT_GATEWAY__'

/** The flat names of the reference, beside the regular ones with two underscores. */
export const FLAT_NAMES: Readonly<Record<string, string>> = {
  AUTH_ENABLED: 'AUTH__ENABLED',
  AUTH_TOKENS: 'AUTH__TOKENS',
  TLS_ENABLED: 'TLS__ENABLED',
  TLS_CERT: 'TLS__CERT',
  TLS_KEY: 'TLS__KEY',
}

/** `maxInFlight` → `MAX_IN_FLIGHT`; what an environment name cannot hold becomes `_`. */
export function upperSnake(key: string): string {
  return key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]/g, '_')
    .toUpperCase()
}

/** `['lanes', 'maxPending']` → `LURKBOT_GATEWAY__LANES__MAX_PENDING`. */
export function envName(path: readonly string[]): string {
  return ENV_PREFIX + path.map(upperSnake).join('__')
}

/** The schema of what is at `key` inside a value of `schema`; undefined: the schema says nothing of it. */
export function childSchema(schema: TSchema | undefined, key: string | number): TSchema | undefined {
  if (schema === undefined) return undefined
  if (KindGuard.IsObject(schema)) {
    return Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined
  }
  if (KindGuard.IsRecord(schema)) {
    const value = recordValue(schema)
    return KindGuard.IsUnknown(value) ? undefined : value
  }
  if (KindGuard.IsArray(schema)) return schema.items
  if (KindGuard.IsUnion(schema)) {
    return schema.anyOf.map((variant) => childSchema(variant, key)).find((child) => child !== undefined)
  }
  return undefined
}

/** The schema that all values of a record share. */
export function recordValue(schema: TSchema): TSchema {
  return Object.values(schema.patternProperties as Record<string, TSchema>)[0]!
}

/** A key of the configuration. Records have `<name>` and lists `[]` as the step into them. */
export interface ConfigKey {
  readonly path: readonly string[]
  readonly schema: TSchema
}

/** Every key in the order of the schema, sections before what is in them. */
export function* configKeys(
  schema: TSchema = ConfigSchema,
  path: readonly string[] = [],
): Generator<ConfigKey> {
  if (path.length > 0) yield { path, schema }
  if (KindGuard.IsObject(schema)) {
    for (const [key, child] of Object.entries(schema.properties)) yield* configKeys(child, [...path, key])
  } else if (KindGuard.IsRecord(schema)) {
    const value = recordValue(schema)
    if (KindGuard.IsObject(value)) yield* configKeys(value, [...path, '<name>'])
  } else if (KindGuard.IsArray(schema)) {
    const item = KindGuard.IsUnion(schema.items)
      ? schema.items.anyOf.find((variant) => KindGuard.IsObject(variant))
      : schema.items
    if (item !== undefined && KindGuard.IsObject(item)) yield* configKeys(item, [...path, '[]'])
  }
}
