import { Type } from '@sinclair/typebox'

/** An option that may be left out, and is not empty. */
export const text = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))

/** The name of an environment variable, for what is to stay out of the file. */
export const variable = (description: string) =>
  Type.Optional(
    Type.String({
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      expected: 'the name of an environment variable',
      // Whoever mistakes it for the secret itself must not find that in a log.
      secret: true,
      description,
    }),
  )
