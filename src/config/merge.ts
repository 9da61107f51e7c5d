import type { TSchema } from '@sinclair/typebox'
import type { JsonObject } from '../protocol/index.js'
import { childSchema } from './keys.js'
import { formatPath, type Path } from './paths.js'

/** Values from one place: the file, one environment variable or one flag. */
export interface Layer {
  readonly value: JsonObject
  /** Names the place for a message, as exactly as it is known. */
  source(path: Path): string
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Layers over each other: objects merge, everything else (lists too) is replaced; remembers which layer set what. */
export class Merged {
  readonly value: JsonObject = {}
  readonly #schema: TSchema
  readonly #origins = new Map<string, Layer>()

  constructor(schema: TSchema) {
    this.#schema = schema
  }

  /** Lays `layer` over what is there. Its values belong to this object from now on. */
  add(layer: Layer): void {
    this.#merge(this.value, layer.value, layer, [], this.#schema)
  }

  /** Who set the value at `path`, or the nearest thing around it; undefined: a default. */
  sourceOf(path: Path): string | undefined {
    for (let length = path.length; length > 0; length--) {
      const layer = this.#origins.get(formatPath(path.slice(0, length)))
      if (layer !== undefined) return layer.source(path)
    }
    return undefined
  }

  /** Who set the value at exactly `path`; undefined: a default. */
  setterOf(path: Path): string | undefined {
    return this.#origins.get(formatPath(path))?.source(path)
  }

  #merge(target: JsonObject, from: JsonObject, layer: Layer, path: Path, schema: TSchema | undefined): void {
    for (const [key, value] of Object.entries(from)) {
      const here = [...path, key]
      const known = childSchema(schema, key)
      // `lanes:` with nothing (or only comments) below it is a section that is left out.
      if (value === null && known !== undefined) continue
      this.#origins.set(formatPath(here), layer)
      if (!isObject(value)) {
        target[key] = value
        continue
      }
      const below = Object.hasOwn(target, key) ? target[key] : undefined
      const into = isObject(below) ? below : {}
      target[key] = into
      this.#merge(into, value, layer, here, known)
    }
  }
}

/** Freezes a JSON value through and through. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const child of Object.values(value)) deepFreeze(child)
  }
  return value
}
