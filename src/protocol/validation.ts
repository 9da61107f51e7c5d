import type { TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { ValueError } from '@sinclair/typebox/errors'
import { GatewayError } from './errors.js'

/** Throws `INVALID_REQUEST` that names the failing path below `root` and what was expected there. */
export type Validate = (value: unknown) => void

export function compileValidator(schema: TSchema, root: string): Validate {
  const compiled = TypeCompiler.Compile(schema)
  return (value) => {
    if (compiled.Check(value)) return
    throw invalid(root, innermost(compiled.Errors(value).First()))
  }
}

/** What is wrong inside the member of a union that fits furthest says more than that none fits. */
function innermost(error: ValueError | undefined): ValueError | undefined {
  for (const member of error?.errors ?? []) {
    const inner = member.First()
    if (inner !== undefined && inner.path.length > error!.path.length) return innermost(inner)
  }
  return error
}

function invalid(root: string, error: ValueError | undefined): GatewayError {
  const path = root + (error?.path ?? '').replaceAll('/', '.')
  const expected = error === undefined ? 'a valid value' : describe(error)
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

/** TypeBox says “Expected string length greater or equal to 1”: the rest of the sentence is what was expected. */
function describe(error: ValueError): string {
  if (error.schema.pattern !== undefined && typeof error.value === 'string') {
    return (
      error.schema.expected ?? error.schema.description ?? `a string that matches ${error.schema.pattern}`
    )
  }
  if (Array.isArray(error.schema.anyOf)) {
    const literals = error.schema.anyOf.map((member: TSchema) =>
      member.const === undefined ? member.type : JSON.stringify(member.const),
    )
    return `one of ${literals.join(', ')}`
  }
  if (error.message === 'Expected required property') return 'this to be present'
  return error.message.replace(/^Expected /, '')
}
