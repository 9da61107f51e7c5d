import { Type } from '@sinclair/typebox'
import { formatPath } from '../../config/paths.js'
import type { Problem } from '../../config/problems.js'

export const ms = (value: number, maximum: number, description: string) =>
  Type.Integer({ minimum: 1, maximum, default: value, description, unit: 'ms' })

export const historyLimit = Type.Optional(
  Type.Integer({
    minimum: 0,
    description: 'Earlier messages that are sent along. Default: `sessions.historyLimit`.',
  }),
)

export const historyMaxChars = Type.Integer({
  minimum: 0,
  default: 100_000,
  description: 'Length of the earlier messages in all; the oldest are left out.',
  unit: 'characters',
})

export const maxResponseBytes = (description: string) =>
  Type.Integer({
    minimum: 1024,
    maximum: 1_073_741_824,
    default: 16_777_216,
    description,
    unit: 'bytes',
  })

export const headers = Type.Record(Type.String(), Type.String(), {
  default: {},
  secret: true,
  description: 'Further HTTP headers.',
})

/** These say how a message travels: they are the HTTP client's own. */
const CLIENT_HEADERS = [
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
]

/** @param taken further headers that the agent sets itself, in small letters */
export function* checkHeaders(
  headers: Readonly<Record<string, string>>,
  taken: readonly string[] = [],
): Generator<Problem> {
  for (const [name, value] of Object.entries(headers)) {
    const path = formatPath(['headers', name])
    if ([...CLIENT_HEADERS, ...taken].includes(name.toLowerCase()))
      yield { path, message: 'expected another header: the gateway sets this one' }
    try {
      new Headers({ [name]: value })
    } catch {
      yield { path, message: 'expected a valid HTTP header (its value is not shown)' }
    }
  }
}

/** Of the configured headers, what must not get out: short values such as `true` are no secrets, and may be part of any text. */
export function secretsOf(headers: Readonly<Record<string, string>>): string[] {
  return Object.values(headers).filter((value) => value.length >= 8)
}
