import { type Static, type TProperties, Type } from '@sinclair/typebox'
import { SCOPES } from '../protocol/contract.js'

const closed = { additionalProperties: false }
/** A section that may be left out: each of its keys has a default. */
const section = <P extends TProperties>(properties: P, description: string) =>
  Type.Object(properties, { ...closed, description, default: {} })

const ms = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 2_147_483_647, default: value, description, unit: 'ms' })
const bytes = (value: number, description: string, minimum = 1024) =>
  Type.Integer({ minimum, maximum: 1_073_741_824, default: value, description, unit: 'bytes' })
const count = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 100_000_000, default: value, description })
const list = (description: string) => Type.Array(Type.String({ minLength: 1 }), { default: [], description })

const ROLES = ['admin', 'operator', 'viewer', 'agent'] as const
export type Role = (typeof ROLES)[number]

const Token = Type.Union([
  Type.String({ minLength: 1, description: 'A token with every scope.' }),
  Type.Object(
    {
      name: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 64,
          description: 'For logs and limits. Default: its position.',
        }),
      ),
      token: Type.String({ minLength: 1, secret: true }),
      role: Type.Optional(
        Type.Union(
          ROLES.map((role) => Type.Literal(role)),
          { description: 'A set of scopes. Default: `admin`, or none when `scopes` is given.' },
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
    },
    closed,
  ),
])

const RateLimit = (max: number, windowMs: number, description: string) =>
  section(
    {
      max: count(max, 'How many in a window; 0: no limit.', 0),
      windowMs: ms(windowMs, 'The window.'),
    },
    description,
  )

const Auth = section(
  {
    enabled: Type.Optional(
      Type.Boolean({
        description:
          'Ask for a token. Default: true when a token is configured or the bind is beyond loopback.',
      }),
    ),
    tokens: Type.Array(Token, {
      default: [],
      description: 'Tokens, or objects `{name, token, role, scopes, sessions}`.',
      secret: true,
    }),
    allowedOrigins: list(
      'Browser origins that may connect besides the same host and loopback, such as `https://app.example`.',
    ),
    allowedHosts: list('Host names that may be asked for on a loopback bind besides loopback names.'),
  },
  'Who may connect.',
)

const Tls = section(
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

const Connection = section(
  {
    maxPayloadBytes: bytes(
      1_048_576,
      'The largest inbound frame; a larger one closes the connection with 1009.',
    ),
    maxBufferedBytes: bytes(
      1_048_576,
      'Unread output of a connection; past half of it deltas are dropped, past it: close 4409.',
      16_384,
    ),
    heartbeatMs: ms(25_000, 'Ping interval; two pings unanswered end the connection.', 100),
    handshakeTimeoutMs: ms(10_000, 'How long a connection may be without a hello.', 10),
    maxInFlight: count(256, 'Unanswered requests of one connection; more are RATE_LIMITED.'),
    maxConnections: count(50_000, 'Connections in all; further ones are closed with 1013.'),
    closeGraceMs: ms(2_000, 'How long a closed peer may take to answer before its socket is destroyed.'),
  },
  'WebSocket connections.',
)

const RateLimits = section(
  {
    http: RateLimit(1_000, 60_000, 'HTTP requests of one address.'),
    upgrades: RateLimit(3_000, 60_000, 'WebSocket upgrades of one address.'),
    handshakeFailures: RateLimit(
      20,
      60_000,
      'Refused hellos of one address; past it upgrades are refused until the window ends.',
    ),
    frames: RateLimit(
      50_000,
      1_000,
      'Frames of one connection; past it: RATE_LIMITED, past twice that: close 4429.',
    ),
  },
  'Rate limits, each per node.',
)

const Retry = section(
  {
    attempts: count(3, 'Tries in all.'),
    backoffMs: ms(500, 'Wait before the second try; doubles each time, with jitter.'),
    maxBackoffMs: ms(30_000, 'The longest wait between tries.'),
  },
  'How a failed run is tried again while its lane waits.',
)

const Lanes = section(
  {
    capacity: count(100, 'Waiting events of one session; more are refused.'),
    maxPending: count(100_000, 'Waiting and running events in all; more are refused.'),
    maxPendingBytes: bytes(67_108_864, 'Payload of the waiting and running events in all; more is refused.'),
    concurrency: count(64, 'Runs at the same time.'),
    runTimeoutMs: ms(600_000, 'How long one try of a run may take.'),
    abortGraceMs: ms(500, 'How long an aborted run may take to stop before its lane moves on without it.', 0),
    retry: Retry,
  },
  'The serial queues of the sessions.',
)

const Sessions = section(
  {
    historyLimit: count(50, 'Messages that an agent is given as context.', 0),
    cacheSize: count(10_000, 'Session records that are kept in memory.'),
  },
  'Conversations.',
)

const Journal = section(
  {
    type: Type.Union([Type.Literal('sqlite'), Type.Literal('memory')], {
      default: 'sqlite',
      description: '`memory` forgets everything when the process ends; for tests.',
    }),
    path: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Path of the database. Default: `journal.db` in the state folder.',
      }),
    ),
    maxPendingWrites: count(50_000, 'Writes that may wait for the disk; more are refused.'),
    retentionMs: ms(
      604_800_000,
      'How long ended events, and outbound events other than messages, are kept for resume and lookups.',
      60_000,
    ),
    idempotencyWindowMs: ms(86_400_000, 'How long an idempotency key is remembered.', 1_000),
  },
  'The durable log.',
)

const Agent = Type.Object(
  {
    type: Type.String({
      minLength: 1,
      description: '`echo`, `module`, `openai`, or one that a plugin adds.',
    }),
    timeoutMs: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Default: `lanes.runTimeoutMs`.', unit: 'ms' }),
    ),
    retry: Type.Optional(Type.Partial(Type.Object(Retry.properties, closed))),
  },
  { additionalProperties: true },
)

const Route = Type.Object(
  {
    channel: Type.Optional(
      Type.String({ minLength: 1, description: 'The first segment of the session key.' }),
    ),
    sessionKey: Type.Optional(Type.String({ minLength: 1, description: 'A session-key pattern.' })),
    agent: Type.String({ minLength: 1 }),
  },
  closed,
)

/** The one shape of the configuration (spec §6): types, validation, defaults and the docs table come from it. */
export const ConfigSchema = Type.Object(
  {
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'The address to listen on.' }),
    port: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 18_789,
      description: 'The port; 0: any free one.',
    }),
    basePath: Type.String({
      default: '',
      pattern: '^(/[^/\\s]+)*$',
      description: 'Prefix of every route behind a reverse proxy, such as `/gateway`.',
    }),
    trustProxy: Type.Union([Type.Boolean(), Type.Array(Type.String({ minLength: 1 }))], {
      default: false,
      description: 'Believe `X-Forwarded-*`: true, or the proxies’ addresses.',
    }),
    log: section(
      {
        level: Type.Union(
          ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => Type.Literal(level)),
          { default: 'info', description: 'The least severe level that is logged.' },
        ),
        format: Type.Union([Type.Literal('auto'), Type.Literal('json'), Type.Literal('pretty')], {
          default: 'auto',
          description: '`auto`: pretty on a terminal, JSON otherwise.',
        }),
      },
      'What is logged, to standard output.',
    ),
    auth: Auth,
    tls: Tls,
    connection: Connection,
    rateLimit: RateLimits,
    lanes: Lanes,
    sessions: Sessions,
    journal: Journal,
    shutdown: section(
      {
        drainTimeoutMs: ms(
          30_000,
          'How long running runs may take to end at a stop; the rest continues after the start.',
          0,
        ),
      },
      'Stopping.',
    ),
    metrics: section(
      {
        auth: Type.Boolean({
          default: false,
          description: 'Ask for a token with scope `read` at `/metrics` when authentication is on.',
        }),
      },
      'Prometheus metrics.',
    ),
    defaultAgent: Type.String({
      minLength: 1,
      default: 'echo',
      description: 'The agent of a session that nothing else decides.',
    }),
    agents: Type.Record(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }), Agent, {
      default: {},
      description: 'Agents by name; `echo` is always there.',
    }),
    routing: Type.Array(Route, {
      default: [],
      description: 'Rules that choose the agent, the first match wins.',
    }),
    connectors: Type.Record(
      Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }),
      Type.Object({ type: Type.String({ minLength: 1 }) }, { additionalProperties: true }),
      {
        default: {},
        description: 'Connectors by name.',
      },
    ),
    plugins: Type.Array(
      Type.Object(
        {
          module: Type.String({ minLength: 1 }),
          options: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        },
        closed,
      ),
      {
        default: [],
        description: 'Fastify plugins to load: a path relative to the config file, or a package.',
      },
    ),
  },
  { ...closed, $id: 'Config' },
)
/** A complete configuration: every default is filled in. */
export type Config = Static<typeof ConfigSchema>

declare module '@sinclair/typebox' {
  interface SchemaOptions {
    /** The unit of a number, for the docs. */
    unit?: string
    /** Never shown, logged or sent. */
    secret?: boolean
  }
}
