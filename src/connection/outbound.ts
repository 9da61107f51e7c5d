import { toErrorShape } from '../protocol/errors.js'

/** A response; what JSON has no word for (undefined, a function) is null. @throws where the result is not JSON. */
export function responseText(id: string, result: unknown): string {
  const json = JSON.stringify(result) ?? 'null'
  return `{"id":${JSON.stringify(id)},"type":"response","result":${json},"error":null}`
}

export function errorText(id: string | null, error: unknown): string {
  return `{"id":${JSON.stringify(id)},"type":"response","result":null,"error":${encodeError(error)}}`
}

export function helloErrorText(error: unknown): string {
  return `{"type":"hello-error","error":${encodeError(error)}}`
}

/** The JSON of an error, without its details where those are not JSON. */
function encodeError(error: unknown): string {
  const shape = toErrorShape(error)
  try {
    return JSON.stringify(shape)
  } catch {
    return JSON.stringify({ ...shape, details: null })
  }
}
