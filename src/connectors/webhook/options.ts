import { type Static, Type } from '@sinclair/typebox'
import { found } from '../../config/expectation.js'
import type { Problem } from '../../config/problems.js'
import { bytes, ms } from '../../config/schema-kinds.js'
import { variable } from '../../config/secret-option.js'
import { text } from '../kinds.js'
import { checkTemplate, createTemplate } from '../template.js'

const header = (value: string | undefined, description: string) =>
  Type.String({
    pattern: "^[a-z0-9!#$%&'*+.^_`|~-]+$",
    expected: 'the name of a header in lower case',
    default: value,
    description,
  })

const Hmac = Type.Object(
  {
    header: header('x-hub-signature-256', 'Holds the signature.'),
    algorithm: Type.Union([Type.Literal('sha256'), Type.Literal('sha512')], { default: 'sha256' }),
    encoding: Type.Union([Type.Literal('hex'), Type.Literal('base64')], { default: 'hex' }),
    prefix: Type.String({ default: 'sha256=', description: 'Stands before the signature.' }),
    timestampHeader: Type.Optional(
      header(undefined, 'Holds the time of the request in seconds since 1970. Default: none.'),
    ),
    toleranceS: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'How far that time may be from ours.',
      unit: 's',
    }),
    signed: text(
      'What is signed. Default: `{{timestamp}}.{{body}}` with `timestampHeader`, else `{{body}}`.',
    ),
  },
  { additionalProperties: false, default: {}, description: 'How `hmac` requests are signed.' },
)

export const WebhookOptions = Type.Object(
  {
    verify: Type.Union(
      [Type.Literal('standard-webhooks'), Type.Literal('hmac'), Type.Literal('token'), Type.Literal('none')],
      {
        default: 'standard-webhooks',
        description: 'How a request shows that it comes from the right place.',
      },
    ),
    secretEnv: variable(
      'The environment variable that holds the secret, or several with blanks between while one is replaced.',
    ),
    secrets: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      maxItems: 16,
      secret: true,
      description: 'The secrets themselves; `secretEnv` keeps them out of the file.',
    }),
    hmac: Hmac,
    tokenHeader: header('authorization', 'Holds the token.'),
    tokenPrefix: Type.String({ default: 'Bearer ', description: 'Stands before the token.' }),
    peer: Type.String({
      minLength: 1,
      default: '{{payload.peer}}',
      description: 'The conversation that a request belongs to.',
    }),
    thread: Type.String({ default: '{{payload.thread}}', description: 'The thread in it; empty: none.' }),
    text: text('The message. Default: `payload.text`, else `payload.content`, else the whole payload.'),
    sender: Type.String({ default: '{{payload.sender}}', description: 'Who wrote; empty: the peer.' }),
    id: text('What tells a repeated request from a new one. Default: see Doubles.'),
    attachments: Type.Optional(
      Type.String({
        pattern: '^payload(\\.[^.{}\\s]+)+$',
        expected: 'a path such as payload.attachments',
        description: 'Where the payload has a list of attachments. Default: nowhere.',
      }),
    ),
    maxBodyBytes: bytes(1_048_576, 'The longest request body.', 1),
    url: text('Where answers are posted to; its path and query may hold `{{peer}}` and `{{thread}}`.'),
    signingSecretEnv: variable(
      'The environment variable that holds the secret that answers are signed with. Default: the first of `secrets`, where requests are `standard-webhooks`.',
    ),
    signingSecret: Type.Optional(
      Type.String({ minLength: 1, secret: true, description: 'That secret itself.' }),
    ),
    timeoutMs: ms(15_000, 'How long the receiver of an answer may take.', 100),
  },
  { additionalProperties: false },
)
export type WebhookOptions = Static<typeof WebhookOptions>

/** What templates may hold. */
const REQUEST_ROOTS = ['payload', 'headers']
const URL_ROOTS = ['peer', 'thread']
const SIGNED_ROOTS = ['timestamp', 'body']

export function templatesOf(options: WebhookOptions) {
  const request = (template: string) => createTemplate(template, REQUEST_ROOTS)
  const { peer, thread, sender, text, id, url, hmac } = options
  return {
    peer: request(peer),
    thread: request(thread),
    sender: request(sender),
    text: text === undefined ? null : request(text),
    id: id === undefined ? null : request(id),
    url: url === undefined ? null : createTemplate(url, URL_ROOTS),
    signed: createTemplate(
      hmac.signed ?? (hmac.timestampHeader === undefined ? '{{body}}' : '{{timestamp}}.{{body}}'),
      SIGNED_ROOTS,
    ),
  }
}

/** What the schema cannot say. */
export function* checkOptions(options: WebhookOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkTemplates(options)
  const { verify, secretEnv, secrets, signingSecretEnv, signingSecret, url } = options
  if (secretEnv !== undefined && secrets.length > 0) {
    yield { path: 'secrets', message: 'expected nothing beside secretEnv' }
  }
  if (verify !== 'none' && secretEnv === undefined && secrets.length === 0) {
    yield { path: 'secretEnv', message: `expected the variable of the secret that verify: ${verify} needs` }
  }
  if (signingSecretEnv !== undefined && signingSecret !== undefined) {
    yield { path: 'signingSecret', message: 'expected nothing beside signingSecretEnv' }
  }
  const signs = signingSecretEnv !== undefined || signingSecret !== undefined
  if (url !== undefined && !signs && (verify === 'hmac' || verify === 'token')) {
    yield {
      path: 'signingSecretEnv',
      message: 'expected the variable of the secret that answers are signed with',
    }
  }
  if (verify === 'standard-webhooks') {
    const path = secretEnv === undefined ? 'secrets' : 'secretEnv'
    if (!readSecrets(options, env).every(isStandardSecret)) yield { path, message: STANDARD_SECRET }
  }
  const path = signingSecretEnv === undefined ? 'signingSecret' : 'signingSecretEnv'
  const own = signingSecret ?? envSecrets(signingSecretEnv, env)[0]
  if (own !== undefined && !isStandardSecret(own)) yield { path, message: STANDARD_SECRET }
}

const STANDARD_SECRET = 'expected whsec_ and base64, as Standard Webhooks has it (its value is not shown)'

function isStandardSecret(secret: string): boolean {
  const key = secret.replace(/^whsec_/, '')
  return key.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(key)
}

function* checkTemplates(options: WebhookOptions): Generator<Problem> {
  for (const name of ['peer', 'thread', 'sender', 'text', 'id'] as const) {
    yield* checkTemplate(name, options[name], REQUEST_ROOTS)
  }
  const { signed, timestampHeader } = options.hmac
  yield* checkTemplate('hmac.signed', signed, SIGNED_ROOTS)
  if (signed !== undefined && signed.split(/\{\{\s*body\s*\}\}/).length !== 2) {
    yield { path: 'hmac.signed', message: 'expected {{body}} in it, once' }
  }
  if (signed !== undefined && /\{\{\s*timestamp\s*\}\}/.test(signed) !== (timestampHeader !== undefined)) {
    yield {
      path: 'hmac.signed',
      message: 'expected {{timestamp}} in it exactly if there is a timestampHeader',
    }
  }
  const { url } = options
  const problems = [...checkTemplate('url', url, URL_ROOTS)]
  yield* problems
  if (url !== undefined && problems.length === 0) yield* checkUrl(url)
}

function* checkUrl(url: string): Generator<Problem> {
  const template = createTemplate(url, URL_ROOTS)
  const [one, other] = ['a', 'b'].map((filled) => {
    const text = template.fill({}, () => filled)
    return URL.canParse(text) ? new URL(text) : null
  })
  if (!one || !other || (one.protocol !== 'http:' && one.protocol !== 'https:')) {
    yield { path: 'url', message: `expected an http or https URL, found ${found(url, false)}` }
  } else if (one.username !== '' || one.password !== '') {
    yield { path: 'url', message: 'expected no credentials in the URL' }
  } else if (one.origin !== other.origin) {
    yield { path: 'url', message: 'expected {{…}} in the path or the query only' }
  }
}

/** In the order of their use; empty: the variable is not set. */
export function readSecrets({ secretEnv, secrets }: WebhookOptions, env: NodeJS.ProcessEnv): string[] {
  return secretEnv === undefined ? secrets : envSecrets(secretEnv, env)
}

/** Null: answers are not signed. Undefined: the variable is not set. */
export function readSigningSecret(
  options: WebhookOptions,
  env: NodeJS.ProcessEnv,
): string | null | undefined {
  const { verify, signingSecretEnv, signingSecret } = options
  if (signingSecret !== undefined) return signingSecret
  if (signingSecretEnv !== undefined) return envSecrets(signingSecretEnv, env)[0]
  return verify === 'standard-webhooks' ? readSecrets(options, env)[0] : null
}

function envSecrets(variable: string | undefined, env: NodeJS.ProcessEnv): string[] {
  const value = variable === undefined ? '' : (env[variable] ?? '')
  return value.split(/\s+/).filter((secret) => secret !== '')
}
