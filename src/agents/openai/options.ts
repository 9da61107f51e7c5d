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
  VISIBLE_ASCII,
} from '../backend/options.js'

const BASE_URL = 'an http or https URL such as http://127.0.0.1:11434/v1'

export const OpenAiOptions = Type.Object(
  {
    baseUrl: Type.String({
      expected: BASE_URL,
      description: 'Where the API begins; `/chat/completions` is appended to its path, a query stays.',
    }),
    model: Type.String({ minLength: 1, description: 'The model, as the endpoint names it.' }),
    apiKeyEnv: Type.Optional(
      Type.String({
        description: 'The environment variable that holds the API key. Left out: no key is sent.',
      }),
    ),
    apiKey: Type.Optional(
      Type.String({
        pattern: VISIBLE_ASCII,
        secret: true,
        expected: 'visible ASCII characters without blanks',
        description: 'The API key itself; `apiKeyEnv` keeps it out of the file.',
      }),
    ),
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
  const { baseUrl, apiKey, apiKeyEnv } = options
  yield* checkUrl('baseUrl', baseUrl, BASE_URL, 'apiKeyEnv, or an authorization header in headers')
  if (apiKeyEnv !== undefined) {
    if (apiKey !== undefined) yield { path: 'apiKey', message: 'expected nothing beside apiKeyEnv' }
    const problems = [...checkVariable('apiKeyEnv', apiKeyEnv)]
    yield* problems
    if (problems.length === 0 && !new RegExp(VISIBLE_ASCII).test(readKey(options, env) ?? 'unset')) {
      yield {
        path: 'apiKeyEnv',
        message:
          'expected a variable that holds visible ASCII characters without blanks (its value is not shown)',
      }
    }
  }
  yield* checkHeaders(options.headers)
}

/** The API key; undefined: none is configured, or its variable is not set. */
export function readKey({ apiKey, apiKeyEnv }: OpenAiOptions, env: NodeJS.ProcessEnv): string | undefined {
  return apiKey ?? (apiKeyEnv === undefined ? undefined : env[apiKeyEnv]?.trim() || undefined)
}

/** `https://host/v1?x=y` → `https://host/v1/chat/completions?x=y` */
export function completionsUrl(baseUrl: string): URL {
  const url = new URL(baseUrl)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`
  return url
}
