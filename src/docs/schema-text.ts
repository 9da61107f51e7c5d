import { KindGuard, OptionalKind, type TSchema } from '@sinclair/typebox'
import { recordValue } from '../config/keys.js'
import { anchor, code } from './markdown.js'

/** A field of an object, named by its path: `lanes.active`, `agents[].name`. */
export interface Field {
  readonly path: string
  readonly required: boolean
  readonly schema: TSchema
}

/** The type of a value in words. Shapes that have a name are links, and are handed to `mention`. */
export function typeText(schema: TSchema, mention: (shape: TSchema) => string = shapeLink): string {
  if (schema.$id !== undefined) return mention(schema)
  if (KindGuard.IsLiteral(schema)) return code(JSON.stringify(schema.const))
  if (KindGuard.IsNull(schema)) return 'null'
  if (KindGuard.IsBoolean(schema)) return 'boolean'
  if (KindGuard.IsInteger(schema)) return `integer${range(schema.minimum, schema.maximum)}`
  if (KindGuard.IsString(schema)) return `text${lengths(schema.minLength, schema.maxLength)}`
  if (KindGuard.IsArray(schema)) {
    const bounds = lengths(schema.minItems, schema.maxItems, 'items')
    const items = typeText(schema.items, mention)
    return `list of ${KindGuard.IsUnion(schema.items) ? `(${items})` : items}${bounds}`
  }
  if (KindGuard.IsUnion(schema)) return schema.anyOf.map((variant) => typeText(variant, mention)).join(' or ')
  if (KindGuard.IsIntersect(schema)) {
    const parts = schema.allOf.map((part) => typeText(part, mention)).filter((part) => part !== 'object')
    return parts.length === 0 ? 'object' : `${parts.join(' with ')} with further fields`
  }
  if (KindGuard.IsRecord(schema)) {
    const value = recordValue(schema)
    if (KindGuard.IsUnknown(value)) return 'object'
    const text = typeText(value, mention)
    return text === 'object' ? 'objects by name' : `${text} by name`
  }
  if (KindGuard.IsObject(schema)) return 'object'
  return 'any JSON'
}

/** Named shapes are written once, in `methods.md`. */
export function shapeLink(shape: TSchema): string {
  return `[${shape.$id}](${anchor(shape.$id!)})`
}

/** The fields of an object and of what is inside it, as far as it has no name of its own. */
export function fieldsOf(schema: TSchema): Field[] {
  return [...walk(schema, '')]
}

function* walk(schema: TSchema, prefix: string): Generator<Field> {
  if (KindGuard.IsIntersect(schema)) {
    for (const part of schema.allOf) if (part.$id === undefined) yield* walk(part, prefix)
  }
  if (!KindGuard.IsObject(schema)) return
  for (const [key, child] of Object.entries(schema.properties)) {
    const path = prefix === '' ? key : `${prefix}.${key}`
    yield { path, required: !(OptionalKind in child), schema: child }
    yield* inside(child, path)
  }
}

function* inside(schema: TSchema, path: string): Generator<Field> {
  if (schema.$id !== undefined) return
  if (KindGuard.IsArray(schema)) yield* inside(schema.items, `${path}[]`)
  else if (KindGuard.IsUnion(schema)) for (const variant of schema.anyOf) yield* inside(variant, path)
  else if (KindGuard.IsRecord(schema)) yield* inside(recordValue(schema), `${path}.<name>`)
  else yield* walk(schema, path)
}

function range(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum !== undefined && maximum !== undefined) return ` ${minimum}–${maximum}`
  if (minimum !== undefined) return minimum === 0 ? ' ≥ 0' : ` ≥ ${minimum}`
  return maximum === undefined ? '' : ` ≤ ${maximum}`
}

function lengths(minimum = 0, maximum?: number, unit = 'characters'): string {
  if (maximum !== undefined) return ` (${minimum > 0 ? `${minimum}–` : 'up to '}${maximum} ${unit})`
  return minimum > 1 ? ` (at least ${minimum} ${unit})` : ''
}
