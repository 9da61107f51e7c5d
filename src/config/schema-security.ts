import { Type } from '@sinclair/typebox'
import { SCOPES } from '../protocol/contract.js'
import { ROLES } from '../protocol/identity.js'
import { DefaultLimits, DevicePairing, Jwt, maxTokens, TokenLimits } from './schema-identity.js'
import { closed, count, list, ms, section } from './schema-kinds.js'

export type { Role } from '../protocol/identity.js'

const tokenText = (description: string) =>
  Type.String({
    minLength: 1,
    maxLength: 4096,
    pattern: '^[\\x21-\\x7e]+$',
    secret: true,
    expected: 'a token of 1 to 4096 visible ASCII characters without blanks',
    description,
  })

const Token = Type.Union([
  tokenText('A token with every scope.'),
  Type.Object(
    {
      name: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 64,
          description: 'For logs and limits. Default: its position.',
        }),
      ),
      token: tokenText('The token itself.'),
      role: Type.Optional(
        Type.Union(
          ROLES.map((role) => Type.Literal(role)),
          {
            description:
              'A set of scopes: `admin` all, `operator` read and write, `viewer` read, `agent` agent. Default: `admin`, or none when `scopes` is given.',
          },
        ),
      ),
      scopes: Type.Optional(
        Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope))), {
          description: 'Exactly these scopes.',
        }),
      ),
      sessions: Type.Optional(
        Type.Array(Type.String({ minLength: 1 }), {
          description: 'Session-key patterns that it is confined to.',
        }),
      ),
      limits: Type.Optional(TokenLimits),
    },
    closed,
  ),
])

export const Auth = section(
  {
    enabled: Type.Optional(
      Type.Boolean({
        description:
          'Ask for a token. Default: true when a token, `jwt`, `pairing` or `trustProxy` is configured or the bind is beyond loopback.',
      }),
    ),
    tokens: Type.Array(Token, {
      default: [],
      description: 'Tokens, or objects `{name, token, role, scopes, sessions, limits}`.',
    }),
    maxTokens,
    limits: DefaultLimits,
    jwt: Type.Optional(Jwt),
    pairing: DevicePairing,
    allowedOrigins: list(
      'Browser origins that may connect besides the same host and loopback, such as `https://app.example`.',
    ),
    allowedHosts: list('Host names that may be asked for on a loopback bind besides loopback names.'),
  },
  'Who may connect.',
)

export const Tls = section(
  {
    enabled: Type.Boolean({ default: false, description: 'Serve https and wss.' }),
    cert: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Path of the certificate chain, PEM. A renewed file is picked up.',
      }),
    ),
    key: Type.Optional(Type.String({ minLength: 1, description: 'Path of the private key, PEM.' })),
  },
  'TLS 1.2 or newer on the port.',
)

const RateLimit = (max: number, windowMs: number, description: string) =>
  section(
    {
      max: count(max, 'How many in a window; 0: no limit.', 0),
      windowMs: ms(windowMs, 'The window.'),
    },
    description,
  )

export const RateLimits = section(
  {
    http: RateLimit(1_000, 60_000, 'HTTP requests of one address.'),
    upgrades: RateLimit(3_000, 60_000, 'WebSocket upgrades of one address.'),
    handshakeFailures: RateLimit(
      20,
      60_000,
      'Refused hellos of one address; past it every hello is refused (4429) until the window ends.',
    ),
    frames: RateLimit(
      50_000,
      1_000,
      'Frames of one connection, pings included; past it: RATE_LIMITED, past twice that: close 4429.',
    ),
    maxAddresses: count(10_000, 'Addresses that each limit remembers; older ones are forgotten first.'),
  },
  'Rate limits, each per node.',
)
