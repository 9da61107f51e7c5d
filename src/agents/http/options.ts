import { type Static, Type } from '@sinclair/typebox'
import { checkHttpUrl } from '../../config/http-url.js'
import type { Problem } from '../../config/problems.js'
import { secretOption } from '../../config/secret-option.js'
import {
  checkHeaders,
  headers,
  historyLimit,
  historyMaxChars,
  maxResponseBytes,
  ms,
  skillsMaxChars,
} from '../backend/options.js'

const URL_EXPECTED = 'an http or https URL such as http://127.0.0.1:8000/run'

/** What requests are signed with; of a key of 24 to 64 bytes (Standard Webhooks, Signature scheme). */
export const SIGNING_SECRET = {
  is: 'the secret that requests are signed with',
  more: 'Left out: they are not signed.',
  pattern: '^whsec_(?=.{32,88}$)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
  expected: '`whsec_` and base64, as Standard Webhooks has it',
}

export const secret = secretOption('secret', SIGNING_SECRET)

export const HttpOptions = Type.Object(
  {
    url: Type.String({ expected: URL_EXPECTED, description: 'Where each run is POSTed.' }),
    ...secret.schema,
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
  yield* checkHttpUrl('url', options.url, URL_EXPECTED, 'secretEnv, or an authorization header in headers')
  yield* secret.check(options, env)
  yield* checkHeaders(options.headers, OWN_HEADERS)
}
