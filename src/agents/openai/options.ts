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

const BASE_URL = 'an http or https URL such as http://127.0.0.1:11434/v1'

export const apiKey = secretOption('apiKey', {
  is: 'the API key',
  more: 'Left out: no key is sent.',
  pattern: '^[\\x21-\\x7e]+$',
  expected: 'visible ASCII characters without blanks',
})

export const OpenAiOptions = Type.Object(
  {
    baseUrl: Type.String({
      expected: BASE_URL,
      description: 'Where the API begins; `/chat/completions` is appended to its path, a query stays.',
    }),
    model: Type.String({ minLength: 1, description: 'The model, as the endpoint names it.' }),
    ...apiKey.schema,
    headers,
    systemPrompt: Type.Optional(Type.String({ description: 'Comes before the conversation.' })),
    temperature: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 2,
        expected: 'a number from 0 to 2',
        description: 'Default: the endpoint’s.',
      }),
    ),
    maxTokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Tokens of an answer, sent as `max_tokens`. Default: the endpoint’s.',
      }),
    ),
    historyLimit,
    historyMaxChars,
    skillsMaxChars,
    responseTimeoutMs: ms(
      120_000,
      300_000,
      'How long the endpoint may take to begin its answer, the loading of a local model included.',
    ),
    stallTimeoutMs: ms(60_000, 300_000, 'How long an answer that has begun may be silent.'),
    maxResponseBytes: maxResponseBytes('Size of an answer as it is sent, about 300 bytes a token.'),
  },
  { additionalProperties: false },
)
export type OpenAiOptions = Static<typeof OpenAiOptions>

/** What the schema cannot say. */
export function* checkOptions(options: OpenAiOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkHttpUrl(
    'baseUrl',
    options.baseUrl,
    BASE_URL,
    'apiKeyEnv, or an authorization header in headers',
  )
  yield* apiKey.check(options, env)
  yield* checkHeaders(options.headers)
}

/** `https://host/v1?x=y` → `https://host/v1/chat/completions?x=y` */
export function completionsUrl(baseUrl: string): URL {
  const url = new URL(baseUrl)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`
  return url
}
