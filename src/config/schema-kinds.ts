import { type TProperties, type TSchema, Type } from '@sinclair/typebox'

/** For objects whose keys are all known. */
export const closed = { additionalProperties: false }
/** A section that may be left out: each of its keys has a default. */
export const section = <P extends TProperties>(properties: P, description: string) =>
  Type.Object(properties, { ...closed, description, default: {} })

/** A duration. */
export const ms = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 2_147_483_647, default: value, description, unit: 'ms' })
/** A duration that is only compared with the clock, so that no timer's limit of 24.8 days holds: up to ten years. */
export const age = (value: number, description: string, minimum: number) =>
  Type.Integer({ minimum, maximum: 315_360_000_000, default: value, description, unit: 'ms' })
/** A size. */
export const bytes = (value: number, description: string, minimum = 1024) =>
  Type.Integer({ minimum, maximum: 1_073_741_824, default: value, description, unit: 'bytes' })
/** A number of things. */
export const count = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 100_000_000, default: value, description })
/** A list of text, empty by default. */
export const list = (description: string) =>
  Type.Array(Type.String({ minLength: 1 }), { default: [], description })

/** Things by name. The names appear in session keys, logs and URLs: short, with nothing to escape. */
export const named = <T extends TSchema>(schema: T, description: string) =>
  Type.Record(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }), schema, {
    ...closed,
    default: {},
    description,
    expectedName: 'a name of letters, digits, `_` and `-`, at most 64',
  })

declare module '@sinclair/typebox' {
  interface SchemaOptions {
    /** The unit of a number, for the docs. */
    unit?: string
    /** Never shown, logged or sent. */
    secret?: boolean
    /** What to say that a value should be, where the type and bounds do not say it well. */
    expected?: string
    /** The same for the names of a record. */
    expectedName?: string
  }
}
