import { KindGuard, type TSchema } from '@sinclair/typebox'
import { parseJsonText } from './json-text.js'

const TRUE = new Set(['true', '1', 'yes'])
const FALSE = new Set(['false', '0', 'no'])

/**
 * Turns the text of an environment variable or flag into what `schema` asks for. Text that is nothing of the kind stays
 * text: validation then says what was expected. Without a schema (an option of an agent, say) it is read as YAML would
 * read it: numbers, true and false, JSON, else text.
 *
 * @throws JsonTextError
 */
export function coerce(schema: TSchema | undefined, text: string): unknown {
  const trimmed = text.trim()
  if (schema === undefined) return freeForm(text, trimmed)
  if (KindGuard.IsString(schema) || KindGuard.IsLiteral(schema)) return text
  if (KindGuard.IsBoolean(schema)) return boolean(trimmed) ?? text
  if (KindGuard.IsInteger(schema)) return /^[+-]?\d+$/.test(trimmed) ? Number(trimmed) : text
  if (KindGuard.IsArray(schema)) return list(schema.items, text, trimmed)
  if (KindGuard.IsUnion(schema)) return union(schema.anyOf, text)
  return trimmed.startsWith('{') || trimmed.startsWith('[') ? parseJsonText(trimmed).value : text
}

function boolean(text: string): boolean | undefined {
  const word = text.toLowerCase()
  return TRUE.has(word) ? true : FALSE.has(word) ? false : undefined
}

function list(items: TSchema, text: string, trimmed: string): unknown {
  // An object where a list belongs is parsed all the same, so that the message speaks of an object.
  if (trimmed.startsWith('[') || trimmed.startsWith('{')) return parseJsonText(trimmed).value
  const holdsText =
    KindGuard.IsString(items) ||
    (KindGuard.IsUnion(items) && items.anyOf.some((variant) => KindGuard.IsString(variant)))
  if (!holdsText) return text
  return trimmed
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function union(variants: readonly TSchema[], text: string): unknown {
  for (const variant of variants) {
    const value = coerce(variant, text)
    if (value !== text) return value
  }
  return text
}

function freeForm(text: string, trimmed: string): unknown {
  if (/^[[{"]/.test(trimmed)) return parseJsonText(trimmed).value
  if (trimmed === 'true' || trimmed === 'false') return trimmed === 'true'
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(trimmed) ? Number(trimmed) : text
}
