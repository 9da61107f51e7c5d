import { toErrorShape } from '../protocol/errors.js'

/** A response; what JSON has no word for (undefined, a function) is null. @throws where the result is not JSON. */
export function responseText(id: string, result: unknown): string {
  const json = JSON.stringify(result) ?? 'null'
  return `{"id":${JSON.stringify(id)},"type":"response","result":${json},"error":null}`
}

export function errorText(id: string | null, error: unknown): string {
  return `{"id":${JSON.stringify(id)},"type":"response","result":null,"error":${JSON.stringify(toErrorShape(error))}}`
}

export function helloErrorText(error: unknown): string {
  return `{"type":"hello-error","error":${JSON.stringify(toErrorShape(error))}}`
}
