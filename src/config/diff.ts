import { isDeepStrictEqual } from 'node:util'
import { KindGuard, type TSchema } from '@sinclair/typebox'
import { childSchema } from './keys.js'
import { isObject } from './merge.js'
import { formatPath, type Path } from './paths.js'
import { type Config, ConfigSchema } from './schema.js'

/** The settings that differ, in the order of the schema: `lanes.capacity`, and entries of records as a whole (`agents.helper`). */
export function changedPaths(before: Readonly<Config>, after: Readonly<Config>): string[] {
  const paths: string[] = []
  const visit = (a: unknown, b: unknown, schema: TSchema | undefined, path: Path): void => {
    if (isDeepStrictEqual(a, b)) return
    const isRecord = schema !== undefined && KindGuard.IsRecord(schema)
    if (!isRecord && !isSection(schema)) {
      paths.push(formatPath(path))
      return
    }
    const [from, to] = [isObject(a) ? a : {}, isObject(b) ? b : {}]
    for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
      const below = isRecord ? undefined : childSchema(schema, key)
      visit(from[key], to[key], below, [...path, key])
    }
  }
  visit(before, after, ConfigSchema, [])
  return paths
}

/** An object of the schema that is always there, as opposed to an entry of a record or an optional value. */
export function isSection(schema: TSchema | undefined): boolean {
  return (
    schema !== undefined &&
    KindGuard.IsObject(schema) &&
    (schema.default !== undefined || schema === ConfigSchema)
  )
}
