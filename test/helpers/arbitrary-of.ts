import type { TSchema } from '@sinclair/typebox'
import fc from './properties.js'

/** Values that a schema allows: of the JSON Schema that the protocol uses, not of all there is. */
export function arbitraryOf(schema: TSchema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  const members = schema.anyOf as TSchema[] | undefined
  if (members !== undefined) return fc.oneof(...members.map(arbitraryOf))
  switch (schema.type) {
    case 'object':
      return object(schema)
    case 'array':
      return fc.array(arbitraryOf(schema.items), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 4, (schema.minItems ?? 0) + 3),
      })
    case 'string':
      return text(schema)
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1000, max: Math.min(schema.maximum ?? 2 ** 40, 2 ** 40) })
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function text({ minLength = 0, maxLength = 64, pattern }: TSchema): fc.Arbitrary<string> {
  const size = { minLength, maxLength: Math.min(maxLength, Math.max(minLength, 16)) }
  return pattern === undefined
    ? fc.string({ ...size, unit: 'grapheme' }).filter((s) => s.length >= minLength && s.length <= maxLength)
    : fc.constantFrom('a', 'a:1', 'b:2:main')
}

function object(schema: TSchema): fc.Arbitrary<unknown> {
  const properties = (schema.properties ?? {}) as Record<string, TSchema>
  if (schema.patternProperties !== undefined)
    return fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 })
  const model = Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [key, arbitraryOf(value)]),
  )
  return fc.record(model, { requiredKeys: (schema.required ?? []) as string[] })
}
