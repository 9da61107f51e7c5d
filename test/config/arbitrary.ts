import { KindGuard, OptionalKind, type TSchema } from '@sinclair/typebox'
import { recordValue } from '../../src/config/keys.js'
import { type Config, ConfigSchema } from '../../src/config/schema.js'
import fc from '../helpers/properties.js'

/** Free-form JSON without the keys that a configuration refuses. */
export const json = fc
  .jsonValue({ maxDepth: 2 })
  // JSON has no -0.
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
  .filter((value) => !/"(?:__proto__|<<)":/.test(JSON.stringify(value)))

const jsonKey = fc.string({ minLength: 1 }).filter((key) => key !== '__proto__' && key !== '<<')

/** Any value that a schema allows. */
export function anyValue(schema: TSchema): fc.Arbitrary<unknown> {
  if (KindGuard.IsLiteral(schema)) return fc.constant(schema.const)
  if (KindGuard.IsBoolean(schema)) return fc.boolean()
  if (KindGuard.IsInteger(schema)) {
    return fc.integer({ min: schema.minimum as number, max: schema.maximum as number })
  }
  if (KindGuard.IsString(schema)) {
    if (schema.pattern === undefined)
      return fc.string({ minLength: schema.minLength, maxLength: schema.maxLength })
    return fc
      .stringMatching(new RegExp(schema.pattern))
      .filter((text) => text.length <= (schema.maxLength ?? 4096))
  }
  if (KindGuard.IsUnion(schema)) return fc.oneof(...schema.anyOf.map(anyValue))
  if (KindGuard.IsArray(schema)) {
    return fc.array(anyValue(schema.items), { minLength: schema.minItems ?? 0, maxLength: 4 })
  }
  if (KindGuard.IsRecord(schema)) {
    const pattern = new RegExp(Object.keys(schema.patternProperties)[0]!)
    const key = fc
      .oneof(fc.stringMatching(pattern), jsonKey)
      .filter((name) => pattern.test(name) && name !== '__proto__' && name !== '<<')
    return fc.dictionary(key, anyValue(recordValue(schema)), { maxKeys: 3, noNullPrototype: true })
  }
  if (KindGuard.IsObject(schema)) return objectOf(schema)
  return json
}

function objectOf(schema: TSchema & { properties: Record<string, TSchema> }): fc.Arbitrary<unknown> {
  const properties = Object.entries(schema.properties)
  const known = fc.record(Object.fromEntries(properties.map(([key, child]) => [key, anyValue(child)])), {
    requiredKeys: properties.filter(([, child]) => !(OptionalKind in child)).map(([key]) => key),
    noNullPrototype: true,
  })
  if (schema.additionalProperties !== true) return known
  const more = fc.dictionary(
    jsonKey.filter((key) => !Object.hasOwn(schema.properties, key)),
    json,
    { maxKeys: 3, noNullPrototype: true },
  )
  return fc.tuple(more, known).map(([extra, value]) => Object.assign({ ...extra }, value))
}

const PROXIES = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8', 'loopback']

/** Any complete configuration that also holds the rules across keys. */
export const anyConfig: fc.Arbitrary<Config> = (anyValue(ConfigSchema) as fc.Arbitrary<Config>).map(
  (config) => {
    const seen = new Set<string>()
    const names = new Set<string>()
    return {
      ...config,
      host: '127.0.0.1',
      trustProxy: Array.isArray(config.trustProxy)
        ? PROXIES.slice(0, config.trustProxy.length)
        : config.trustProxy,
      tls: { cert: 'a', key: 'b', ...config.tls },
      defaultAgent: Object.keys(config.agents)[0] ?? 'echo',
      routing: config.routing.map(({ queueMode, ...rule }) => ({
        ...rule,
        agent: 'echo',
        ...(queueMode === undefined || rule.mention !== undefined ? {} : { queueMode }),
      })),
      auth: {
        ...config.auth,
        ...(config.auth.jwt && { jwt: { ...config.auth.jwt, jwksUri: 'https://id.example/keys' } }),
        tokens: config.auth.tokens.filter((entry) => {
          const { token, name } = typeof entry === 'string' ? { token: entry, name: undefined } : entry
          if (seen.has(token) || (name !== undefined && names.has(name))) return false
          seen.add(token)
          if (name !== undefined) names.add(name)
          return true
        }),
      },
    }
  },
)
