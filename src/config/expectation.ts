import { KindGuard, type TSchema } from '@sinclair/typebox'
import { recordValue } from './keys.js'
import { withoutCredentials } from './secrets.js'

const MAX_SHOWN = 60

/** What a value should be, for a message: `an integer from 1 to 65535 (ms)`. */
export function expectation(schema: TSchema): string {
  if (schema.expected !== undefined) return schema.expected
  if (KindGuard.IsBoolean(schema)) return 'true or false'
  if (KindGuard.IsInteger(schema)) return integer(schema.minimum, schema.maximum, schema.unit)
  if (KindGuard.IsString(schema)) return text(schema.minLength ?? 0, schema.maxLength)
  if (KindGuard.IsLiteral(schema)) return String(schema.const)
  if (KindGuard.IsArray(schema)) return KindGuard.IsString(schema.items) ? 'a list of text' : 'a list'
  if (KindGuard.IsObject(schema) || KindGuard.IsRecord(schema)) return 'keys and values'
  if (KindGuard.IsUnion(schema)) {
    const literals = schema.anyOf.every((variant) => KindGuard.IsLiteral(variant))
    return literals
      ? `one of ${schema.anyOf.map(expectation).join(', ')}`
      : schema.anyOf.map(expectation).join(', or ')
  }
  return 'a value'
}

function integer(minimum: number | undefined, maximum: number | undefined, unit: string | undefined): string {
  const bounds =
    minimum !== undefined && maximum !== undefined
      ? ` from ${minimum} to ${maximum}`
      : minimum !== undefined
        ? ` of at least ${minimum}`
        : maximum !== undefined
          ? ` of at most ${maximum}`
          : ''
  return `an integer${bounds}${unit === undefined ? '' : ` (${unit})`}`
}

function text(minLength: number, maxLength: number | undefined): string {
  if (maxLength !== undefined) return `text of ${minLength} to ${maxLength} characters`
  return minLength > 0 ? 'text that is not empty' : 'text'
}

/** What was found, for a message. `hidden` values are named by their kind only. */
export function found(value: unknown, hidden: boolean): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'keys and values'
  if (hidden) return typeof value === 'string' ? 'text (not shown)' : `a ${typeof value} (not shown)`
  if (typeof value !== 'string') return String(value)
  const shown = withoutCredentials(value)
  return JSON.stringify(shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown)
}

/** Whether a value of this schema may hold a secret, anywhere inside. */
export function mayHoldSecret(schema: TSchema | undefined): boolean {
  if (schema === undefined) return false
  if (schema.secret === true) return true
  if (KindGuard.IsObject(schema)) return Object.values(schema.properties).some(mayHoldSecret)
  if (KindGuard.IsRecord(schema)) return mayHoldSecret(recordValue(schema))
  if (KindGuard.IsArray(schema)) return mayHoldSecret(schema.items)
  return KindGuard.IsUnion(schema) && schema.anyOf.some(mayHoldSecret)
}
