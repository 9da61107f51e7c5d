import { type Static, Type } from '@sinclair/typebox'
import { QueueMode } from '../protocol/primitives.js'
import { Channels, Connector } from './schema-channels.js'
import { ConfigFile } from './schema-config-file.js'
import { Cron } from './schema-cron.js'
import { AgentSkills, Hooks, Skills } from './schema-extensions.js'
import { Audit } from './schema-identity.js'
import { age, bytes, closed, count, ms, named, section } from './schema-kinds.js'
import { Log } from './schema-log.js'
import { Overload } from './schema-overload.js'
import { Auth, RateLimits, Tls } from './schema-security.js'
import { Sessions } from './schema-sessions.js'

export type { Role } from './schema-security.js'

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
    handshakeTimeoutMs: ms(
      10_000,
      'How long each step of a new connection may take: TLS, the head of its request, its hello.',
      10,
    ),
    requestTimeoutMs: ms(30_000, 'How long an HTTP request may take to arrive whole; past it: 408.', 10),
    idleTimeoutMs: ms(
      120_000,
      'How long an HTTP connection may pass nothing, neither way, before it is destroyed.',
      10,
    ),
    maxInFlight: count(256, 'Unanswered requests of one connection; more are RATE_LIMITED.'),
    maxConnections: count(50_000, 'Connections in all; further ones are closed with 1013.'),
    closeGraceMs: ms(2_000, 'How long a closed peer may take to answer before its socket is destroyed.'),
  },
  'WebSocket connections.',
)

const Retry = section(
  {
    attempts: count(3, 'Tries in all.'),
    backoffMs: ms(500, 'Wait before the second try; doubles each time, with jitter.'),
    maxBackoffMs: ms(30_000, 'The longest wait between tries.'),
  },
  'How a failed run is tried again while its lane waits.',
)

/** The same without defaults: what an agent leaves out is taken from `lanes.retry`. */
const AgentRetry = Type.Object(
  {
    attempts: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000_000, description: 'Default: `lanes.retry.attempts`.' }),
    ),
    backoffMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2_147_483_647,
        description: 'Default: `lanes.retry.backoffMs`.',
        unit: 'ms',
      }),
    ),
    maxBackoffMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2_147_483_647,
        description: 'Default: `lanes.retry.maxBackoffMs`.',
        unit: 'ms',
      }),
    ),
  },
  { ...closed, description: 'How this agent’s failed runs are tried again.' },
)

const Collect = section(
  {
    quietMs: ms(1_000, 'The run begins when no further message came for so long.', 0),
    maxMessages: count(20, 'Messages of one run; it begins at once when so many wait.'),
    maxWaitMs: ms(10_000, 'The run begins so long after the first message even if more keep coming.', 0),
  },
  'How messages join into one run in the queue mode `collect`.',
)

const Reports = section(
  {
    maxBytes: bytes(
      16_384,
      'Input and output of a tool call, each; of a longer one only the start is sent.',
      64,
    ),
    maxPerRun: count(10_000, 'Reports on tools of one try of a run; further ones are left out.'),
    maxQuestions: count(8, 'Permissions that a run may ask for at the same time; further ones are refused.'),
  },
  'What agents tell of their work besides the answer.',
)

const Lanes = section(
  {
    capacity: count(100, 'Waiting events of one session; more are refused.'),
    maxPending: count(100_000, 'Waiting and running events in all; more are refused.'),
    maxPendingBytes: bytes(67_108_864, 'Payload of the waiting and running events in all; more is refused.'),
    maxPendingPerPrincipal: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000_000,
        description:
          'Of these, events of one token, or of one connection while authentication is off; more are RATE_LIMITED. Default: half of `lanes.maxPending`.',
      }),
    ),
    maxPendingBytesPerPrincipal: Type.Optional(
      Type.Integer({
        minimum: 1024,
        maximum: 1_073_741_824,
        description: 'The same of their payload. Default: half of `lanes.maxPendingBytes`.',
        unit: 'bytes',
      }),
    ),
    concurrency: count(64, 'Runs at the same time.'),
    runTimeoutMs: ms(600_000, 'How long one try of a run may take.'),
    maxReplyBytes: bytes(1_048_576, 'An agent’s whole answer; a longer one fails the run.'),
    abortGraceMs: ms(500, 'How long an aborted run may take to stop before its lane moves on without it.', 0),
    retry: Retry,
    maxCrashes: count(
      10,
      'An event that was being handled so often when the process died is a dead letter; 0: never.',
      0,
    ),
    crashBackoffMs: ms(
      1_000,
      'Wait before an event is tried again that was being handled when the process died for the third time; doubles each time.',
    ),
    maxCrashBackoffMs: ms(60_000, 'The longest wait after such deaths.'),
    queueMode: Type.Union(QueueMode.anyOf, { default: 'followup', description: QueueMode.description }),
    collect: Collect,
    reports: Reports,
  },
  'The serial queues of the sessions.',
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
        description:
          'Path of the database; relative to the configuration file’s folder. Default: `journal.db` in the state folder.',
      }),
    ),
    maxPendingWrites: count(50_000, 'Writes that may wait for the disk; more are refused.'),
    retentionMs: age(
      604_800_000,
      'How long ended events, and outbound events other than messages, are kept for resume and lookups.',
      60_000,
    ),
    idempotencyWindowMs: age(86_400_000, 'How long an idempotency key is remembered.', 1_000),
    search: Type.Boolean({
      default: true,
      description: 'Whether messages are indexed, in the background, for `sessions.search`.',
    }),
  },
  'The durable log.',
)

/** Off unless it is there. */
const Breaker = Type.Object(
  {
    failures: count(5, 'Failures of the backend, one after the other, after which nothing is tried.'),
    openMs: ms(30_000, 'How long nothing is tried; then one run at a time, until one succeeds.'),
    maxWaitMs: age(
      86_400_000,
      'Meanwhile no failure counts as a try of an event that was accepted less than so long ago.',
      0,
    ),
  },
  {
    ...closed,
    description: 'Lets events wait while the backend of this agent is out of order. Default: off.',
  },
)

const Agent = Type.Object(
  {
    type: Type.String({
      minLength: 1,
      description: '`echo`, `module`, `openai`, `http`, `acp`, `worker`, or one that a plugin adds.',
    }),
    timeoutMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2_147_483_647,
        description: 'How long one try of a run may take. Default: `lanes.runTimeoutMs`.',
        unit: 'ms',
      }),
    ),
    retry: Type.Optional(AgentRetry),
    concurrency: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000_000,
        description:
          'Runs of this agent at the same time; further ones wait in their lanes. Default: no limit.',
      }),
    ),
    breaker: Type.Optional(Breaker),
    skills: Type.Optional(AgentSkills),
  },
  { additionalProperties: true, description: 'Further keys are the options of the type.' },
)

const Route = Type.Object(
  {
    channel: Type.Optional(
      Type.String({ minLength: 1, description: 'The first segment of the session key.' }),
    ),
    sessionKey: Type.Optional(Type.String({ minLength: 1, description: 'A session-key pattern.' })),
    mention: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_-]{1,64}$',
        expected: 'a name of letters, digits, `_` and `-`, without the @',
        description: 'Only messages that say `@` and this name; for the agent, not the queue mode.',
      }),
    ),
    agent: Type.Optional(Type.String({ minLength: 1, description: 'A name from `agents`, or `echo`.' })),
    queueMode: Type.Optional(QueueMode),
  },
  closed,
)

/** The one shape of the configuration (spec §6): types, validation, defaults and the docs table come from it. */
export const ConfigSchema = Type.Object(
  {
    host: Type.String({
      minLength: 1,
      maxLength: 253,
      default: '127.0.0.1',
      description: 'The address or host name to listen on; beyond loopback a token is always asked for.',
    }),
    port: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 18_789,
      description: 'The port; 0: any free one.',
    }),
    basePath: Type.String({
      default: '',
      pattern: '^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$',
      maxLength: 256,
      expected: 'a path such as /gateway: a slash at its start, none at its end, no characters to escape',
      description: 'Prefix of every route behind a reverse proxy, such as `/gateway`.',
    }),
    trustProxy: Type.Union([Type.Boolean(), Type.Array(Type.String({ minLength: 1 }))], {
      default: false,
      description:
        'The reverse proxies whose `X-Forwarded-For`, `-Host` and `-Proto` are believed: addresses, CIDR ranges, `loopback`, `linklocal` or `uniquelocal`; true: whoever connects, and nobody beyond.',
    }),
    log: Log,
    auth: Auth,
    audit: Audit,
    tls: Tls,
    connection: Connection,
    rateLimit: RateLimits,
    lanes: Lanes,
    overload: Overload,
    sessions: Sessions,
    journal: Journal,
    hooks: Hooks,
    skills: Skills,
    shutdown: section(
      {
        delayMs: ms(
          0,
          'How long a stop takes everything as before while readiness is red already, so that a load balancer sends nothing new by then. Not at a restart in place.',
          0,
        ),
        drainTimeoutMs: ms(
          30_000,
          'How long running runs may take to end at a stop; the rest continues after the start.',
          0,
        ),
        closeTimeoutMs: ms(
          10_000,
          'How long the rest of a stop may take after that: plugins, connections, the journal. What hangs is named in the log and left behind.',
          100,
        ),
      },
      'Stopping and restarting.',
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
    agents: named(Agent, 'Agents by name; `echo` is always there.'),
    routing: Type.Array(Route, {
      default: [],
      description:
        'Rules that choose the agent and the queue mode: of each the first match that names one wins.',
    }),
    cron: Cron,
    connectors: named(Connector, 'Connectors by name.'),
    channels: Channels,
    configFile: ConfigFile,
    plugins: Type.Array(
      Type.Object(
        {
          module: Type.String({
            minLength: 1,
            description: 'A path relative to the config file (`./x.mjs`), or a package.',
          }),
          options: Type.Optional(
            Type.Record(Type.String(), Type.Unknown(), { description: 'Handed to the plugin as they are.' }),
          ),
        },
        closed,
      ),
      {
        default: [],
        description: 'Fastify plugins to load, in order.',
      },
    ),
  },
  { ...closed, $id: 'Config' },
)
/** A complete configuration: every default is filled in. */
export type Config = Static<typeof ConfigSchema>
