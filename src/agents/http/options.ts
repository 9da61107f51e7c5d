import { type Static, Type } from '@sinclair/typebox'
import type { Problem } from '../../config/problems.js'
import {
  checkHeaders,
  checkUrl,
  checkVariable,
  headers,
  historyLimit,
  historyMaxChars,
  maxResponseBytes,
  ms,
  skillsMaxChars,
} from '../backend/options.js'

const URL_EXPECTED = 'an http or https URL such as http://127.0.0.1:8000/run'
const SECRET_EXPECTED = '`whsec_` and base64, as Standard Webhooks has it'

/** Of a key of 24 to 64 bytes (Standard Webhooks, Signature scheme). */
const SECRET = /^whsec_(?=.{32,88}$)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export const HttpOptions = Type.Object(
  {
    url: Type.String({ expected: URL_EXPECTED, description: 'Where each run is POSTed.' }),
    secretEnv: Type.Optional(
      Type.String({
        description:
          'The environment variable that holds the secret which requests are signed with. Left out: they are not signed.',
      }),
    ),
    secret: Type.Optional(
      Type.String({
        pattern: SECRET.source,
        secret: true,
        expected: SECRET_EXPECTED,
        description: 'The secret itself; `secretEnv` keeps it out of the file.',
      }),
    ),
    headers,
    historyLimit,
    historyMaxChars,
    skillsMaxChars,
    idempotent: Type.Boolean({
      default: true,
      description:
        'The receiver knows a request that it has had by its `webhook-id`, so that one whose answer was lost may be sent again.',
    }),
    responseTimeoutMs: ms(120_000, 300_000, 'How long the receiver may take to begin its answer.'),
    stallTimeoutMs: ms(60_000, 300_000, 'How long an answer that has begun may be silent.'),
    maxResponseBytes: maxResponseBytes('Size of an answer as it is sent.'),
  },
  { additionalProperties: false },
)
export type HttpOptions = Static<typeof HttpOptions>

/** What is set for each request. */
const OWN_HEADERS = [
  'accept',
  'content-type',
  'idempotency-key',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
]

/** What the schema cannot say. */
export function* checkOptions(options: HttpOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  const { url, secret, secretEnv } = options
  yield* checkUrl('url', url, URL_EXPECTED, 'secretEnv, or an authorization header in headers')
  if (secretEnv !== undefined) {
    if (secret !== undefined) yield { path: 'secret', message: 'expected nothing beside secretEnv' }
    const problems = [...checkVariable('secretEnv', secretEnv)]
    yield* problems
    const value = readSecret(options, env)
    if (problems.length === 0 && value !== undefined && !SECRET.test(value)) {
      const message = `expected a variable that holds ${SECRET_EXPECTED} (its value is not shown)`
      yield { path: 'secretEnv', message }
    }
  }
  yield* checkHeaders(options.headers, OWN_HEADERS)
}

/** Undefined: none is configured, or its variable is not set. */
export function readSecret({ secret, secretEnv }: HttpOptions, env: NodeJS.ProcessEnv): string | undefined {
  return secret ?? (secretEnv === undefined ? undefined : env[secretEnv]?.trim() || undefined)
}
