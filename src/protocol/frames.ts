import { type Static, Type } from '@sinclair/typebox'
import { ChannelStatus } from './channels.js'
import { SCOPES } from './contract.js'
import { CronJobSummary } from './cron.js'
import { ErrorShape } from './errors.js'
import { Id, JsonObject, QueueMode, Seq, SessionKey, Timestamp, traceFields } from './primitives.js'

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

/** A malformed one is ignored, as W3C Trace Context says: no frame is refused for it. */
const inboundTrace = {
  traceparent: Type.Optional(nullable(traceFields.traceparent)),
  tracestate: Type.Optional(nullable(traceFields.tracestate)),
}

export const ClientInfo = Type.Object({
  id: Id,
  displayName: Type.Optional(nullable(Type.String({ maxLength: 256 }))),
  version: Type.String({ maxLength: 64 }),
  platform: Type.String({ maxLength: 64 }),
  mode: Type.Union([Type.Literal('app'), Type.Literal('web'), Type.Literal('cli')]),
})
export type ClientInfo = Static<typeof ClientInfo>

/** An event name or a pattern: `*` stands for any run of characters. */
export const EventPattern = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'An event name or a pattern such as `agent.*`.',
})

export const ResumePosition = Type.Object({
  epoch: Type.String({ minLength: 1, maxLength: 64, description: 'The journal that `seq` counts in.' }),
  seq: Seq,
})
export type ResumePosition = Static<typeof ResumePosition>

/** Of a device that comes with its key in place of a token. */
const HelloDevice = Type.Object({
  publicKey: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: 'Ed25519, 32 bytes, base64url.' }),
  token: Type.Optional(
    Type.Boolean({ description: 'Give it a token of its own anew; the one before ends. Default: false.' }),
  ),
})

/** The first frame of a connection. */
export const HelloFrame = Type.Object(
  {
    type: Type.Literal('hello'),
    minProtocol: Type.Integer({ minimum: 0 }),
    maxProtocol: Type.Integer({ minimum: 0 }),
    client: ClientInfo,
    caps: Type.Optional(nullable(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }))),
    auth: Type.Optional(
      nullable(
        Type.Object({
          token: Type.Optional(nullable(Type.String({ maxLength: 8192 }))),
          password: Type.Optional(nullable(Type.String({ maxLength: 4096 }))),
          device: Type.Optional(nullable(HelloDevice)),
        }),
      ),
    ),
    subscribe: Type.Optional(nullable(Type.Array(EventPattern, { maxItems: 64 }))),
    resume: Type.Optional(nullable(ResumePosition)),
  },
  { $id: 'HelloFrame' },
)
export type HelloFrame = Static<typeof HelloFrame>

export const SessionSummary = Type.Object(
  {
    key: SessionKey,
    channel: Type.String({ description: 'The first segment of the key.' }),
    title: nullable(Type.String()),
    agent: nullable(Type.String({ description: 'The agent set for this session; null: by routing.' })),
    queueMode: nullable(QueueMode),
    metadata: JsonObject,
    createdAt: Timestamp,
    updatedAt: Timestamp,
    active: Type.Boolean({ description: 'Whether its lane has work.' }),
  },
  { $id: 'Session' },
)
export type SessionSummary = Static<typeof SessionSummary>

export const Policy = Type.Object({
  maxPayloadBytes: Type.Integer({
    description: 'The largest frame that is accepted; a larger one: close 1009.',
  }),
  maxBufferedBytes: Type.Integer({ description: 'Unread output that is kept; more: close 4409.' }),
  heartbeatMs: Type.Integer({ description: 'How often the gateway pings.' }),
  maxInFlight: Type.Integer({
    description: 'Requests of one connection that may be unanswered; more: RATE_LIMITED.',
  }),
})
export type Policy = Static<typeof Policy>

export const HelloOkFrame = Type.Object(
  {
    type: Type.Literal('hello-ok'),
    protocol: Type.Integer(),
    server: Type.Object({ version: Type.String(), host: nullable(Type.String()), connId: Type.String() }),
    features: Type.Object({ methods: Type.Array(Type.String()), events: Type.Array(Type.String()) }),
    snapshot: Type.Object({
      sessions: Type.Array(SessionSummary, { description: 'The most recently used ones.' }),
      cronJobs: Type.Array(CronJobSummary, { description: 'The jobs whose times come next.' }),
      channels: Type.Array(ChannelStatus),
    }),
    policy: Policy,
    auth: Type.Object({
      role: Type.String(),
      scopes: Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope)))),
      deviceToken: Type.Optional(
        Type.String({ description: 'The token that the device was given just now; it is told this once.' }),
      ),
    }),
    resume: Type.Object({
      epoch: Type.String(),
      seq: Type.Integer({ description: 'The position from which durable events follow on this connection.' }),
      recovered: Type.Boolean({
        description: 'Whether the stream continues without a gap from the position in the hello.',
      }),
    }),
  },
  { $id: 'HelloOkFrame' },
)
export type HelloOkFrame = Static<typeof HelloOkFrame>

/** Answers the hello of a device: it has to prove that it has the key. Good for one `hello-proof` on this connection. */
export const HelloChallengeFrame = Type.Object(
  {
    type: Type.Literal('hello-challenge'),
    nonce: Type.String({ description: '32 random bytes, base64url.' }),
    epoch: Type.String({ description: 'The journal of the gateway; as in `resume`.' }),
    at: Timestamp,
  },
  { $id: 'HelloChallengeFrame' },
)
export type HelloChallengeFrame = Static<typeof HelloChallengeFrame>

export const HelloProofFrame = Type.Object(
  {
    type: Type.Literal('hello-proof'),
    signature: Type.String({ pattern: '^[A-Za-z0-9_-]{86}$', description: 'Ed25519, 64 bytes, base64url.' }),
  },
  { $id: 'HelloProofFrame' },
)
export type HelloProofFrame = Static<typeof HelloProofFrame>

export const HelloErrorFrame = Type.Object(
  { type: Type.Literal('hello-error'), error: ErrorShape },
  { $id: 'HelloErrorFrame' },
)
export type HelloErrorFrame = Static<typeof HelloErrorFrame>

export const RequestFrame = Type.Object(
  {
    type: Type.Literal('request'),
    id: Id,
    method: Type.String({ minLength: 1, maxLength: 128 }),
    params: Type.Optional(nullable(JsonObject)),
    sessionKey: Type.Optional(nullable(SessionKey)),
    ...inboundTrace,
  },
  { $id: 'RequestFrame' },
)
export type RequestFrame = Static<typeof RequestFrame>

export const ResponseFrame = Type.Object(
  {
    type: Type.Literal('response'),
    id: nullable(Type.String({ description: 'The id of the request; null where none could be read.' })),
    result: Type.Unknown(),
    error: nullable(ErrorShape),
  },
  { $id: 'ResponseFrame' },
)
export type ResponseFrame = Static<typeof ResponseFrame>

export const EventFrame = Type.Object(
  {
    type: Type.Literal('event'),
    id: Type.String(),
    at: Timestamp,
    event: Type.String(),
    payload: nullable(JsonObject),
    sessionKey: nullable(SessionKey),
    seq: Type.Optional(Seq),
    dropped: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Events that were dropped before this one because the client reads slowly.',
      }),
    ),
  },
  { $id: 'EventFrame' },
)
export type EventFrame = Static<typeof EventFrame>

/** An event that a client publishes without waiting for a response. */
export const InboundEventFrame = Type.Object(
  {
    type: Type.Literal('event'),
    id: Id,
    event: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'The event type, such as `message.received`.',
    }),
    at: Type.Optional(nullable(Timestamp)),
    payload: Type.Optional(nullable(JsonObject)),
    sessionKey: SessionKey,
    ...inboundTrace,
  },
  { $id: 'InboundEventFrame' },
)
export type InboundEventFrame = Static<typeof InboundEventFrame>

export const CancelFrame = Type.Object({ type: Type.Literal('cancel'), id: Id }, { $id: 'CancelFrame' })
export type CancelFrame = Static<typeof CancelFrame>

export type InboundFrame = HelloFrame | HelloProofFrame | RequestFrame | InboundEventFrame | CancelFrame
export type OutboundFrame = HelloOkFrame | HelloChallengeFrame | HelloErrorFrame | ResponseFrame | EventFrame
