import { Type } from '@sinclair/typebox'
import { PrincipalLimits, ROLES } from '../protocol/identity.js'
import { age, closed, count, ms, section } from './schema-kinds.js'

const text = (description: string) => Type.String({ minLength: 1, maxLength: 1024, description })
const claim = (name: string, description: string) =>
  Type.String({ minLength: 1, maxLength: 256, default: name, description })

const { connections, requestsPerSecond, inFlight } = PrincipalLimits.properties

export const TokenLimits = Type.Object(
  { connections, requestsPerSecond, inFlight },
  { ...closed, description: 'Limits of its own; what is left out is as in `auth.limits`.' },
)

export const DefaultLimits = section(
  {
    connections: count(0, 'Connections at the same time; further ones are closed with 4429. 0: no limit.', 0),
    requestsPerSecond: count(0, 'Requests and event frames; more are RATE_LIMITED. 0: no limit.', 0),
    inFlight: count(0, 'Unanswered requests; more are RATE_LIMITED. 0: no limit.', 0),
  },
  'What each token, device or holder of a JWT may do at a time, on all of its connections together.',
)

/** Only asymmetric ones: a shared secret would have to be known to every service that checks tokens. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

/** Off unless it is there. */
export const Jwt = Type.Object(
  {
    issuer: text('What `iss` has to be.'),
    audience: Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      description: 'Of these `aud` has to have one.',
    }),
    jwksUri: Type.String({
      pattern: '^https?://[^\\s@]+$',
      maxLength: 1024,
      expected: 'an https address, or http on loopback',
      description: 'Where the keys are: https, or http on loopback.',
    }),
    algorithms: Type.Array(Type.Union(ALGORITHMS.map((name) => Type.Literal(name))), {
      minItems: 1,
      default: ['RS256', 'ES256', 'EdDSA'],
      description: 'The signatures that are taken.',
    }),
    clockToleranceMs: ms(60_000, 'How far the clock of the issuer may be off.', 0),
    cacheMs: ms(600_000, 'How long the keys are used before they are fetched again.', 1_000),
    cooldownMs: ms(30_000, 'The time between two fetches, whatever unknown keys are named.', 100),
    staleMs: age(86_400_000, 'How long keys are used while they cannot be fetched again.', 0),
    timeoutMs: ms(5_000, 'How long a fetch may take.', 10),
    claims: section(
      {
        name: claim('sub', 'Who it is; the principal is called `jwt:` and this.'),
        role: claim('role', 'One of our roles, or a list with one.'),
        scopes: claim('scope', 'Our scopes, separated by blanks, or as a list. They go before a role.'),
        sessions: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 256,
            description:
              'Session-key patterns, as a list or separated by blanks; without the claim: no session. Default: every session.',
          }),
        ),
      },
      'The claims that are read; `a.b` is the claim `b` inside `a`.',
    ),
    defaultRole: Type.Optional(
      Type.Union(
        ROLES.map((role) => Type.Literal(role)),
        { description: 'Of a JWT without role and scopes. Default: it is refused.' },
      ),
    ),
  },
  { ...closed, description: 'Takes JSON Web Tokens of an identity provider. Default: off.' },
)

export const DevicePairing = section(
  {
    enabled: Type.Boolean({
      default: false,
      description: 'Let devices ask to be let in with a key of their own.',
    }),
    requestTtlMs: ms(600_000, 'How long a request can be approved.', 1_000),
    maxPending: count(50, 'Requests that may wait for an answer.'),
    maxPerAddress: count(10, 'New requests of one address within `requestTtlMs`; 0: no limit.', 0),
    maxDevices: count(1_000, 'Devices that may be let in.'),
  },
  'Pairing of devices.',
)

export const maxTokens = count(1_000, 'Tokens that `tokens.new` may make.')

export const Audit = section(
  {
    retentionMs: age(7_776_000_000, 'How long its entries are kept.', 60_000),
    maxPending: count(1_000, 'Entries that may wait for the disk; more are left out, and counted.'),
    maxRefusedPerMinute: count(
      60,
      'Entries about refused logins and actions; more are left out, and counted.',
    ),
  },
  'The record of what was done to the gateway, and by whom.',
)
