import { Type } from '@sinclair/typebox'

/** An option that may be left out, and is not empty. */
export const text = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))

/** A duration. */
export const ms = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, default: value, description, unit: 'ms' })
