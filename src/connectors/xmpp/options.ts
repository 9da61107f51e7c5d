import { type Static, Type } from '@sinclair/typebox'
import { found } from '../../config/expectation.js'
import { formatPath } from '../../config/paths.js'
import type { Problem } from '../../config/problems.js'
import { ms } from '../kinds.js'
import { password, requiredPassword } from '../password.js'

const BARE_JID = '^[^\\s@/"&\'<>:]{1,256}@[^\\s@/"&\'<>:]{1,256}$'

export const XmppOptions = Type.Object(
  {
    jid: Type.String({
      pattern: BARE_JID,
      expected: 'an account such as lurk@example.org',
      description: 'The account.',
    }),
    ...requiredPassword.schema,
    service: Type.Optional(
      Type.String({
        expected: 'xmpp://host:port or xmpps://host:port',
        description:
          'The server: `xmpp` begins in the clear and turns to TLS (STARTTLS), `xmpps` is TLS at once. Default: what the domain’s DNS names.',
      }),
    ),
    resource: Type.String({
      pattern: '^[^\\s"&\'<>]{1,128}$',
      expected: 'a name without blanks',
      default: 'lurkbot',
      description: 'Tells the connections of one account apart; who connects with the same ends the other.',
    }),
    allowInsecure: Type.Boolean({
      default: false,
      description: 'Whether an `xmpp` service is spoken to without TLS, for a server on this machine.',
    }),
    rejectUnauthorized: Type.Boolean({
      default: true,
      description: 'Whether the server has to show a certificate that is valid for the account’s domain.',
    }),
    ca: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'A PEM file with the authorities to trust in place of the system’s.',
      }),
    ),
    rooms: Type.Array(
      Type.Object(
        {
          jid: Type.String({
            pattern: BARE_JID,
            expected: 'a room such as team@conference.example.org',
            description: 'The room.',
          }),
          nick: Type.Optional(
            Type.String({
              pattern: '^[^\\s\\u0000-\\u001f"&\'<>][^\\u0000-\\u001f"&\'<>]{0,63}$',
              expected: 'a name of at most 64 characters',
              description: 'The name to go by in it. Default: the account’s.',
            }),
          ),
          ...password.schema,
        },
        { additionalProperties: false },
      ),
      { maxItems: 100, default: [], description: 'The rooms to join (XEP-0045).' },
    ),
    maxMessageLength: Type.Integer({
      minimum: 100,
      maximum: 100_000,
      default: 10_000,
      description: 'The longest message; servers refuse what is beyond their limit, usually 64 KiB or more.',
      unit: 'characters',
    }),
    rejoinDelayMs: ms(10_000, 1, 3_600_000, 'Wait before a lost room is joined again; doubles each time.'),
    maxRejoins: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 5,
      description: 'How often a lost room is joined again until it held for an hour.',
    }),
    pingIntervalMs: ms(60_000, 100, 600_000, 'How often the server is asked whether it is still there.'),
    pingTimeoutMs: ms(30_000, 100, 600_000, 'How long it may take to answer.'),
  },
  { additionalProperties: false },
)
export type XmppOptions = Static<typeof XmppOptions>

/** What the schema cannot say. */
export function* checkOptions(options: XmppOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  const { service, rooms } = options
  yield* requiredPassword.check(options, env)
  if (service !== undefined && parseService(service) === null) {
    const { expected } = XmppOptions.properties.service
    yield { path: 'service', message: `expected ${expected}, found ${found(service, false)}` }
  }
  if (options.allowInsecure && !service?.startsWith('xmpp:')) {
    yield { path: 'allowInsecure', message: 'expected to be false without a service that begins with xmpp:' }
  }
  const seen = new Set<string>()
  for (const [index, room] of rooms.entries()) {
    yield* password.check(room, env, ['rooms', index])
    const jid = room.jid.toLowerCase()
    if (seen.has(jid)) yield { path: formatPath(['rooms', index, 'jid']), message: 'expected each room once' }
    seen.add(jid)
  }
}

const DEFAULT_PORTS = { 'xmpp:': 5222, 'xmpps:': 5223 }

/** Null: it is none. */
export function parseService(
  service: string,
): { host: string; port: number; encryption: 'direct' | 'starttls' } | null {
  const url = URL.canParse(service) ? new URL(service) : null
  if (url === null || (url.protocol !== 'xmpp:' && url.protocol !== 'xmpps:') || url.hostname === '')
    return null
  if (url.username !== '' || url.password !== '' || (url.pathname !== '' && url.pathname !== '/')) return null
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORTS[url.protocol] : Number(url.port),
    encryption: url.protocol === 'xmpps:' ? 'direct' : 'starttls',
  }
}
