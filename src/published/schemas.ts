import type { TSchema } from '@sinclair/typebox'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
export type JsonMap = { [key: string]: Json }

/** Turns TypeBox schemas into plain JSON Schema in which shapes with a name are written once, and referred to. */
export class SharedSchemas {
  readonly #shapes = new Map<string, JsonMap>()

  /** @param prefix where the shapes will be, such as `#/components/schemas/` */
  constructor(private readonly prefix: string) {}

  /** The schema, or a reference to it where it has a name. */
  of(schema: TSchema): JsonMap {
    const { $id } = schema
    if ($id === undefined) return this.#plain(schema)
    if (!this.#shapes.has($id)) {
      // Before its parts, which may refer to it.
      this.#shapes.set($id, {})
      this.#shapes.set($id, this.#plain(schema))
    }
    return { $ref: this.prefix + $id }
  }

  /** Every shape that was referred to, by name. */
  get all(): JsonMap {
    return Object.fromEntries([...this.#shapes].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** TypeBox's own marks are symbols, which stay behind. */
  #plain(schema: TSchema): JsonMap {
    const { $id: _named, ...rest } = schema
    return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, this.#value(key, value)]))
  }

  #value(key: string, value: unknown): Json {
    if (key === 'const' || key === 'default') return value as Json
    if (Array.isArray(value)) return value.map((item) => this.#value('', item))
    if (typeof value !== 'object' || value === null) return value as Json
    if (key === 'properties' || key === 'patternProperties') {
      return Object.fromEntries(
        Object.entries(value).map(([name, child]) => [name, this.of(child as TSchema)]),
      )
    }
    return this.of(value as TSchema)
  }
}
