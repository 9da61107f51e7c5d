import { type Static, Type } from '@sinclair/typebox'
import { SCOPES } from './contract.js'
import { Id, SessionKey, Timestamp } from './primitives.js'

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

export const ROLES = ['admin', 'operator', 'viewer', 'agent'] as const
export const Role = Type.Union(
  ROLES.map((role) => Type.Literal(role)),
  {
    description:
      'A set of scopes: `admin` all, `operator` read and write, `viewer` read, `agent` agent. Default: `operator`, or none when `scopes` is given.',
  },
)
export type Role = (typeof ROLES)[number]

const ScopeName = Type.Union(SCOPES.map((scope) => Type.Literal(scope)))

/** How much one principal may do at a time, on all of its connections together. */
export const PrincipalLimits = Type.Object(
  {
    connections: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000_000, description: 'Connections at the same time.' }),
    ),
    requestsPerSecond: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000_000, description: 'Requests and event frames.' }),
    ),
    inFlight: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000_000, description: 'Unanswered requests.' }),
    ),
  },
  { description: 'What is left out is as in `auth.limits`; 0: no limit.' },
)
export type PrincipalLimits = Static<typeof PrincipalLimits>

/** What an administrator gives to a token or a device; never more than it has itself. */
export const grantParams = {
  role: Type.Optional(Role),
  scopes: Type.Optional(Type.Array(ScopeName, { maxItems: SCOPES.length, description: 'Exactly these.' })),
  sessions: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      minItems: 1,
      maxItems: 64,
      description: 'Session-key patterns to be confined to. Default: those of the caller.',
    }),
  ),
  limits: Type.Optional(PrincipalLimits),
}

const granted = {
  role: Type.String(),
  scopes: Type.Array(ScopeName),
  sessions: nullable(
    Type.Array(Type.String(), { description: 'Patterns that it is confined to; null: every session.' }),
  ),
}

export const TokenInfo = Type.Object(
  {
    tokenId: nullable(Type.String({ description: 'Null: it is not one that `tokens.new` has made.' })),
    name: Type.String(),
    source: Type.Union([Type.Literal('issued'), Type.Literal('config'), Type.Literal('auto')], {
      description: 'By `tokens.new`, from the configuration, or made by the gateway for itself.',
    }),
    ...granted,
    createdAt: nullable(Timestamp),
    createdBy: nullable(Type.String({ description: 'The principal that made it.' })),
    expiresAt: nullable(Timestamp),
    lastUsedAt: nullable(
      Type.Integer({ minimum: 0, description: 'Milliseconds since 1970; to the hour or so.' }),
    ),
    rotatedAt: nullable(Timestamp),
    previousUntil: nullable(
      Type.Integer({ minimum: 0, description: 'Until when the secret before the last rotation is good.' }),
    ),
  },
  { $id: 'Token' },
)
export type TokenInfo = Static<typeof TokenInfo>

export const Device = Type.Object(
  {
    deviceId: Type.String({ description: 'Made from its public key.' }),
    name: Type.String(),
    ...granted,
    publicKey: Type.String({ description: 'Ed25519, 32 bytes, base64url.' }),
    clientId: Type.String(),
    platform: Type.String(),
    hasToken: Type.Boolean({ description: 'Whether it was given a token of its own.' }),
    approvedAt: Timestamp,
    approvedBy: Type.String({ description: 'The principal that approved.' }),
    lastSeenAt: nullable(
      Type.Integer({ minimum: 0, description: 'Milliseconds since 1970; to the hour or so.' }),
    ),
    connections: Type.Integer({ minimum: 0, description: 'How many it has now.' }),
  },
  { $id: 'Device' },
)
export type Device = Static<typeof Device>

export const AuditEntry = Type.Object(
  {
    auditId: Type.String(),
    at: Timestamp,
    principal: nullable(
      Type.String({ description: 'Null: nobody could be made out, or it was the file or a signal.' }),
    ),
    address: Type.String({
      description: 'From where; `file` or `signal` for a configuration that was read anew without a method.',
    }),
    connId: nullable(Type.String()),
    method: Type.String({ description: 'The method; `hello` or `http` for a failed authentication.' }),
    sessionKey: nullable(SessionKey),
    target: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Ids and names of what it was about; never secrets or contents.',
    }),
    outcome: Type.String({ description: '`OK`, or the code of the error.' }),
  },
  { $id: 'AuditEntry' },
)
export type AuditEntry = Static<typeof AuditEntry>

/** Names a principal in logs: nothing that could be taken for the name of a device or of a JWT’s holder. */
export const TokenName = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'A name of letters, digits, `.`, `_` and `-`, at most 64.',
})

export const TokenChoice = {
  tokenId: Type.Optional(Id),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Instead of the id.' })),
}
