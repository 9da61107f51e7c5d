import { type Static, Type } from '@sinclair/typebox'
import { formatPath } from '../../config/paths.js'
import type { Problem } from '../../config/problems.js'
import { ms } from '../kinds.js'
import { password, requiredPassword } from '../password.js'

/** What IRC names a channel: no blank, comma, bell or colon, and nothing that ends a line. */
const CHANNEL = '^[#&+!][^\\s,:\\u0000\\u0007]{1,199}$'

export const IrcOptions = Type.Object(
  {
    host: Type.String({
      pattern: '^[^\\s/]+$',
      expected: 'a host name or address',
      description: 'The server.',
    }),
    port: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65_535, description: 'Default: 6697, without TLS 6667.' }),
    ),
    tls: Type.Boolean({ default: true, description: 'Whether the connection is encrypted.' }),
    rejectUnauthorized: Type.Boolean({
      default: true,
      description: 'Whether the server has to show a certificate that is valid for its name.',
    }),
    ca: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'A PEM file with the authorities to trust in place of the system’s.',
      }),
    ),
    nick: Type.String({
      pattern: '^[A-Za-z[\\]\\\\`_^{|}][A-Za-z0-9[\\]\\\\`_^{|}-]{0,29}$',
      expected: 'a nick: letters, digits and any of []\\`_^{|}-, at most 30, no digit first',
      description: 'The name to go by; while another has it, `_` is appended.',
    }),
    username: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._-]{1,32}$',
        expected: 'letters, digits, `.`, `_` and `-`, at most 32',
        description: 'The user of `nick!user@host`. Default: `lurkbot`.',
      }),
    ),
    realname: Type.String({
      pattern: '^[^\\r\\n\\u0000]{1,100}$',
      expected: 'one line of at most 100 characters',
      default: 'LurkBot Gateway',
      description: 'Shown by WHOIS.',
    }),
    ...password.schema,
    sasl: Type.Optional(
      Type.Object(
        {
          account: Type.String({
            pattern: '^[^\\s\\u0000]{1,64}$',
            expected: 'a name without blanks',
            description: 'The account to log in to.',
          }),
          ...requiredPassword.schema,
        },
        { additionalProperties: false, description: 'Logs in to the network’s services (SASL PLAIN).' },
      ),
    ),
    channels: Type.Array(Type.String({ pattern: CHANNEL, expected: 'a channel such as #lobby' }), {
      maxItems: 20,
      uniqueItems: true,
      default: [],
      description: 'The channels to join.',
    }),
    channelKeys: Type.Record(Type.String(), Type.String(), {
      default: {},
      secret: true,
      description: 'The keys of those channels that need one.',
    }),
    accountsOnly: Type.Boolean({
      default: false,
      description:
        'Ignore who is not logged in to the network’s services: a nick alone can be taken by anyone. The server has to offer `account-tag`.',
    }),
    quitMessage: Type.Optional(
      Type.String({
        pattern: '^[^\\r\\n\\u0000]{1,200}$',
        expected: 'one line of at most 200 characters',
        description: 'Shown when the gateway leaves.',
      }),
    ),
    messagesPerSecond: Type.Number({
      minimum: 0.5,
      maximum: 100,
      expected: 'a number from 0.5 to 100',
      default: 1,
      description: 'How many lines are sent in a second once `burst` is used up.',
    }),
    burst: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 5,
      description: 'Lines that may be sent at once.',
    }),
    maxLineBytes: Type.Integer({
      minimum: 100,
      maximum: 4_000,
      default: 350,
      description:
        'The longest text of one line in UTF-8; the server cuts off what is beyond 512 bytes with its own prefix.',
      unit: 'bytes',
    }),
    rejoinDelayMs: ms(10_000, 1, 3_600_000, 'Wait before a lost channel is joined again; doubles each time.'),
    maxRejoins: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 5,
      description: 'How often a lost channel is joined again until it held for an hour.',
    }),
    returnGraceMs: ms(
      120_000,
      0,
      3_600_000,
      'How long after it has connected what is for someone who is not there is tried again: others may still be coming.',
    ),
    pingIntervalMs: ms(30_000, 100, 600_000, 'How often the server is asked whether it is still there.'),
    pingTimeoutMs: ms(90_000, 100, 1_800_000, 'A server that was silent so long counts as lost.'),
  },
  { additionalProperties: false },
)
export type IrcOptions = Static<typeof IrcOptions>

/** What the schema cannot say. */
export function* checkOptions(options: IrcOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* password.check(options, env)
  const { sasl, channels, channelKeys, pingIntervalMs, pingTimeoutMs } = options
  if (sasl !== undefined) yield* requiredPassword.check(sasl, env, ['sasl'])
  for (const [name, key] of Object.entries(channelKeys)) {
    const path = formatPath(['channelKeys', name])
    if (!channels.includes(name)) yield { path, message: 'expected one of the channels' }
    if (!/^[^\s,:]{1,100}$/.test(key)) {
      yield { path, message: 'expected a key without blanks, commas and colons (its value is not shown)' }
    }
  }
  if (pingTimeoutMs <= pingIntervalMs) {
    yield { path: 'pingTimeoutMs', message: 'expected more than pingIntervalMs' }
  }
}
