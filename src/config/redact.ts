import { KindGuard, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { childSchema } from './keys.js'
import { type Config, ConfigSchema } from './schema.js'
import { soundsSecret, withoutCredentials } from './secrets.js'

export const REDACTED = '[redacted]'

/**
 * A copy without secrets, to show, log or send: what the schema marks `secret`, options of agents, connectors and
 * plugins whose names sound like one, and credentials in URLs become `[redacted]`.
 */
export function redactConfig(config: Readonly<Config>): Config {
  return redact(config, ConfigSchema) as Config
}

function redact(value: unknown, schema: TSchema | undefined): unknown {
  const known = schema !== undefined && KindGuard.IsUnion(schema) ? variantOf(schema.anyOf, value) : schema
  if (known?.secret === true) return mask(value)
  if (Array.isArray(value)) return value.map((item, index) => redact(item, childSchema(known, index)))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => {
        const below = childSchema(known, key)
        return [key, below === undefined && soundsSecret(key) ? mask(child) : redact(child, below)]
      }),
    )
  }
  return typeof value === 'string' ? withoutCredentials(value) : value
}

function variantOf(variants: readonly TSchema[], value: unknown): TSchema | undefined {
  return variants.find((variant) => Value.Check(variant, value))
}

/** Numbers and booleans stay: `maxTokens: 100` is none. */
function mask(value: unknown): unknown {
  if (typeof value === 'string') return REDACTED
  if (Array.isArray(value)) return value.map(mask)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mask(child)]))
  }
  return value
}
