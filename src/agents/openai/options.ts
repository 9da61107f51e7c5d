import { type Static, Type } from '@sinclair/typebox'
import { found } from '../../config/expectation.js'
import { formatPath } from '../../config/paths.js'
import type { Problem } from '../../config/problems.js'

const ms = (value: number, maximum: number, description: string) =>
  Type.Integer({ minimum: 1, maximum, default: value, description, unit: 'ms' })

const VISIBLE_ASCII = '^[\\x21-\\x7e]+$'

export const OpenAiOptions = Type.Object(
  {
    baseUrl: Type.String({
      expected: 'an http or https URL such as http://127.0.0.1:11434/v1',
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
    headers: Type.Record(Type.String(), Type.String(), {
      default: {},
      secret: true,
      description: 'Further HTTP headers.',
    }),
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
    historyLimit: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Earlier messages that are sent along. Default: `sessions.historyLimit`.',
      }),
    ),
    historyMaxChars: Type.Integer({
      minimum: 0,
      default: 100_000,
      description: 'Length of the earlier messages in all; the oldest are left out.',
      unit: 'characters',
    }),
    responseTimeoutMs: ms(
      120_000,
      300_000,
      'How long the endpoint may take to begin its answer, the loading of a local model included.',
    ),
    stallTimeoutMs: ms(60_000, 300_000, 'How long an answer that has begun may be silent.'),
    maxResponseBytes: Type.Integer({
      minimum: 1024,
      maximum: 1_073_741_824,
      default: 16_777_216,
      description: 'Size of an answer as it is sent, about 300 bytes a token.',
      unit: 'bytes',
    }),
  },
  { additionalProperties: false },
)
export type OpenAiOptions = Static<typeof OpenAiOptions>

/** These say how a message travels: they are the HTTP client's own. */
const CLIENT_HEADERS = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** What the schema cannot say. */
export function* checkOptions(options: OpenAiOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkBaseUrl(options.baseUrl)
  if (options.apiKeyEnv !== undefined) {
    if (options.apiKey !== undefined) yield { path: 'apiKey', message: 'expected nothing beside apiKeyEnv' }
    // Whoever mistakes it for the key itself must not find the key in a log.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(options.apiKeyEnv)) {
      yield {
        path: 'apiKeyEnv',
        message: 'expected the name of an environment variable (what was found is not shown)',
      }
    } else if (!new RegExp(VISIBLE_ASCII).test(readKey(options, env) ?? 'unset')) {
      yield {
        path: 'apiKeyEnv',
        message:
          'expected a variable that holds visible ASCII characters without blanks (its value is not shown)',
      }
    }
  }
  for (const [name, value] of Object.entries(options.headers)) yield* checkHeader(name, value)
}

function* checkBaseUrl(baseUrl: string): Generator<Problem> {
  const refuse = (message: string): Problem => ({ path: 'baseUrl', message })
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    yield refuse(`expected ${OpenAiOptions.properties.baseUrl.expected}, found ${found(baseUrl, false)}`)
  } else if (url.username !== '' || url.password !== '') {
    yield refuse('expected no credentials in the URL; use apiKeyEnv, or an authorization header in headers')
  }
}

function* checkHeader(name: string, value: string): Generator<Problem> {
  const path = formatPath(['headers', name])
  if (CLIENT_HEADERS.has(name.toLowerCase()))
    yield { path, message: 'expected another header: the gateway sets this one' }
  try {
    new Headers({ [name]: value })
  } catch {
    yield { path, message: 'expected a valid HTTP header (its value is not shown)' }
  }
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
