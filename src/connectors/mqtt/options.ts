import { type Static, Type } from '@sinclair/typebox'
import { found } from '../../config/expectation.js'
import type { Problem } from '../../config/problems.js'
import { secretOption } from '../../config/secret-option.js'
import { text } from '../kinds.js'
import { checkTemplate, createTemplate } from '../template.js'
import { isFilter } from './topics.js'

const ANY = { pattern: '[^]', expected: 'text that is not empty' }
const username = secretOption('username', { is: 'the user name', ...ANY })
const password = secretOption('password', { is: 'the password', ...ANY })

const filters = (value: string[], minItems: number, description: string) =>
  Type.Array(Type.String({ minLength: 1 }), { minItems, maxItems: 256, default: value, description })

export const MqttOptions = Type.Object(
  {
    url: Type.String({ description: 'The broker: `mqtt://host:1883`, `mqtts://`, `ws://` or `wss://`.' }),
    ...username.schema,
    ...password.schema,
    ca: text('A file with the certificates that the broker’s is signed by. Default: those of the system.'),
    cert: text('A file with the client’s own certificate.'),
    key: text('A file with its key.'),
    clientId: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description:
          'Under which name the broker keeps what came while the gateway was away. Default: `lurkbot-<name>`.',
      }),
    ),
    sessionExpiryS: Type.Integer({
      minimum: 0,
      maximum: 4_294_967_295,
      default: 604_800,
      description: 'How long the broker keeps it.',
      unit: 's',
    }),
    keepaliveS: Type.Integer({
      minimum: 1,
      maximum: 65_535,
      default: 30,
      description: 'How often a silent connection is tried.',
      unit: 's',
    }),
    subscribe: filters(
      ['lurkbot/+/in'],
      1,
      'The topics that messages come from; wildcards and `$share/…` work.',
    ),
    peer: Type.String({
      minLength: 1,
      default: '{{levels.1}}',
      description: 'The conversation that a message belongs to: `{{topic}}`, or a level of it, from 0.',
    }),
    thread: text('The thread in it. Default: none.'),
    sender: Type.String({ default: '{{payload.sender}}', description: 'Who wrote; empty: the peer.' }),
    text: text('The message. Default: `payload.text`, else `payload.content`, else the whole payload.'),
    id: Type.Optional(
      Type.String({
        description:
          'What tells a message that comes again from a new one; empty: nothing. Default: the user property `id`, else `payload.id`.',
      }),
    ),
    reply: Type.String({
      minLength: 1,
      default: 'lurkbot/{{peer}}/out',
      description: 'Where answers go to messages without a response topic.',
    }),
    responseTopics: filters(
      ['lurkbot/+/answers/#'],
      0,
      'Filters of the response topics that a message may name; `#`: all.',
    ),
    format: Type.Union([Type.Literal('text'), Type.Literal('json')], {
      default: 'text',
      description: 'Whether an answer is its text alone, or JSON that says more.',
    }),
    maxPacketSize: Type.Integer({
      minimum: 4_096,
      maximum: 268_435_455,
      default: 262_144,
      description: 'The longest packet either way; the broker does not send longer ones.',
      unit: 'bytes',
    }),
    receiveMaximum: Type.Integer({
      minimum: 1,
      maximum: 65_535,
      default: 100,
      description: 'Messages that the broker may send before they are acknowledged.',
    }),
  },
  { additionalProperties: false },
)
export type MqttOptions = Static<typeof MqttOptions>

const MESSAGE_ROOTS = ['topic', 'levels', 'payload', 'properties']
const REPLY_ROOTS = ['peer', 'thread']

export function templatesOf({ peer, thread, sender, text, id, reply }: MqttOptions) {
  const optional = (template: string | undefined) =>
    template === undefined ? null : createTemplate(template, MESSAGE_ROOTS)
  return {
    peer: createTemplate(peer, MESSAGE_ROOTS),
    thread: optional(thread),
    sender: createTemplate(sender, MESSAGE_ROOTS),
    text: optional(text),
    id: optional(id),
    reply: createTemplate(reply, REPLY_ROOTS),
  }
}

/** What the schema cannot say. */
export function* checkOptions(options: MqttOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  const { url, cert, key } = options
  const parsed = URL.canParse(url) ? new URL(url) : null
  const protocols = ['mqtt:', 'mqtts:', 'ws:', 'wss:']
  if (parsed === null || !protocols.includes(parsed.protocol) || parsed.hostname === '') {
    yield { path: 'url', message: `expected a URL such as mqtt://host:1883, found ${found(url, false)}` }
  } else if (parsed.username !== '' || parsed.password !== '') {
    yield { path: 'url', message: 'expected no credentials in the URL; use username and passwordEnv' }
  } else if (!['mqtts:', 'wss:'].includes(parsed.protocol) && (options.ca ?? cert ?? key) !== undefined) {
    yield { path: 'url', message: 'expected mqtts:// or wss:// with ca, cert or key' }
  }
  yield* username.check(options, env)
  yield* password.check(options, env)
  if ((cert === undefined) !== (key === undefined)) {
    yield { path: cert === undefined ? 'cert' : 'key', message: 'expected cert and key together' }
  }
  yield* checkTopics(options)
}

function* checkTopics(options: MqttOptions): Generator<Problem> {
  for (const name of ['peer', 'thread', 'sender', 'text', 'id', 'reply'] as const) {
    yield* checkTemplate(name, options[name], name === 'reply' ? REPLY_ROOTS : MESSAGE_ROOTS)
  }
  for (const name of ['subscribe', 'responseTopics'] as const) {
    for (const [i, filter] of options[name].entries()) {
      if (!isFilter(filter)) {
        yield { path: `${name}[${i}]`, message: `expected a topic filter, found ${found(filter, false)}` }
      }
    }
  }
}

export interface Credentials {
  readonly username: string | undefined
  readonly password: string | undefined
  /** The variable that is to hold one of them and is not set. */
  readonly unset: string | undefined
}

export function readCredentials(options: MqttOptions, env: NodeJS.ProcessEnv): Credentials {
  return {
    username: username.read(options, env),
    password: password.read(options, env),
    unset: username.unset(options, env) ?? password.unset(options, env),
  }
}
