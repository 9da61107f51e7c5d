import type { Json } from './schemas.js'

/** What a method may be asked, and answer. */
export interface MethodExample {
  readonly params: Json
  readonly result: Json
  readonly sessionKey?: string
}

const SESSION_KEY = 'telegram:123456789:main'
const AT = 1_706_700_000_000
const run = { runId: 'run_1', eventId: 'evt_1', agent: 'helper' }
const message = {
  messageId: 'msg_2',
  role: 'assistant',
  content: 'Hello yourself.',
  eventId: 'evt_1',
  runId: 'run_1',
  agent: 'helper',
}
const session = {
  key: SESSION_KEY,
  channel: 'telegram',
  title: null,
  agent: null,
  queueMode: null,
  metadata: {},
  createdAt: AT,
  updatedAt: AT,
  active: false,
}
const error = {
  code: 'UNAVAILABLE',
  message: 'The queue of this session is full.',
  details: null,
  retryable: true,
  retryAfterMs: 1_000,
}
const lane = {
  sessionKey: SESSION_KEY,
  waiting: 1,
  paused: false,
  oldestAt: AT,
  running: { ...run, attempt: 1, startedAt: AT },
}
const health = {
  status: 'ok',
  version: '0.1.0',
  uptimeMs: 5_000,
  checks: { journal: { status: 'ok' }, lanes: { status: 'ok' } },
}
const logLine = { at: AT, level: 'warn', message: 'agent unavailable', fields: { agent: 'helper' } }
const client = { id: 'my-client', version: '1.0.0', platform: 'linux', mode: 'cli' }

/** Frames by their schemas' names. */
export const FRAME_EXAMPLES: Readonly<Record<string, Json>> = {
  HelloFrame: {
    type: 'hello',
    minProtocol: 1,
    maxProtocol: 1,
    client,
    auth: { token: 'the token' },
    subscribe: ['session.*', 'agent.*'],
    resume: { epoch: 'j_8f2c', seq: 1_041 },
  },
  HelloOkFrame: {
    type: 'hello-ok',
    protocol: 1,
    server: { version: '0.1.0', host: null, connId: '5d0c2f8a-1b7e' },
    features: { methods: ['gateway.ping'], events: ['session.created'] },
    snapshot: { sessions: [session], cronJobs: [], channels: [] },
    policy: {
      maxPayloadBytes: 1_048_576,
      maxBufferedBytes: 1_048_576,
      heartbeatMs: 25_000,
      maxInFlight: 256,
    },
    auth: { role: 'operator', scopes: ['read', 'write'] },
    resume: { epoch: 'j_8f2c', seq: 1_041, recovered: true },
  },
  HelloErrorFrame: {
    type: 'hello-error',
    error: { code: 'UNAUTHORIZED', message: 'Authentication failed.', details: null, retryable: false },
  },
  InboundEventFrame: {
    type: 'event',
    id: 'p1',
    event: 'message.received',
    payload: { content: 'Hello!' },
    sessionKey: SESSION_KEY,
  },
  CancelFrame: { type: 'cancel', id: 'r1' },
  ErrorResponse: { type: 'response', id: 'r1', result: null, error },
}

export const HEALTH_EXAMPLE: Json = health
export const ERROR_EXAMPLE: Json = { error }

export const METHOD_EXAMPLES: Readonly<Record<string, MethodExample>> = {
  'gateway.ping': { params: { data: 'hi' }, result: { pong: true, at: AT, data: 'hi' } },
  'gateway.health': { params: {}, result: health },
  'sessions.send': {
    sessionKey: SESSION_KEY,
    params: { content: 'Hello!', idempotencyKey: 'update-77' },
    result: { eventId: 'evt_1', seq: 1_042, runId: 'run_1', queued: 0 },
  },
  'sessions.get': { sessionKey: SESSION_KEY, params: {}, result: { session } },
  'sessions.list': {
    params: { channel: 'telegram', limit: 10 },
    result: { sessions: [session], nextCursor: null },
  },
  'sessions.history': {
    sessionKey: SESSION_KEY,
    params: { limit: 10 },
    result: { messages: [{ ...message, seq: 1_043, at: AT }], nextCursor: null },
  },
  'events.subscribe': {
    params: { patterns: ['agent.*'], sessionKeys: [SESSION_KEY] },
    result: { subscriptions: [{ patterns: ['agent.*'], sessionKeys: [SESSION_KEY] }] },
  },
  'agent.wait': {
    params: { runId: 'run_1', timeoutMs: 60_000 },
    result: {
      runId: 'run_1',
      eventId: 'evt_1',
      status: 'completed',
      message: { ...message, seq: 1_043, at: AT },
      error: null,
      mergedInto: null,
    },
  },
  'agent.abort': { params: { runId: 'run_1', reason: 'changed my mind' }, result: { aborted: ['run_1'] } },
  'lanes.list': { params: { running: true }, result: { lanes: [lane], total: 1, nextCursor: null } },
  'lanes.get': {
    sessionKey: SESSION_KEY,
    params: {},
    result: {
      ...lane,
      events: [
        {
          id: 'evt_2',
          runId: 'run_2',
          type: 'message.received',
          source: 'telegram',
          at: AT,
          priority: 'chat',
          position: 1,
        },
      ],
      nextCursor: null,
    },
  },
  'connections.list': {
    params: { limit: 1 },
    result: {
      connections: [
        {
          connId: '5d0c2f8a-1b7e',
          state: 'open',
          principal: 'ci',
          role: 'operator',
          client: { ...client, displayName: null },
          address: '127.0.0.1',
          since: AT,
          framesIn: 12,
          framesOut: 40,
          bufferedBytes: 0,
          inFlight: 1,
          subscriptions: 1,
          worker: false,
        },
      ],
      total: 2,
      nextCursor: '17',
    },
  },
  'connections.close': {
    params: { connId: '5d0c2f8a-1b7e', reason: 'maintenance' },
    result: { closed: true },
  },
  'logs.tail': { params: { level: 'warn', limit: 50 }, result: { lines: [logLine] } },
}

/** Payloads by the names of their events. */
export const EVENT_EXAMPLES: Readonly<Record<string, Json>> = {
  'session.created': { session },
  'session.message': message,
  'session.ended': { reason: 'deleted' },
  'agent.started': { ...run, attempt: 1 },
  'agent.delta': { runId: 'run_1', text: 'Hel' },
  'agent.completed': { ...run, messageId: 'msg_2' },
  'agent.failed': { ...run, error, attempts: 3 },
  'agent.aborted': { ...run, reason: 'requested' },
  'lane.full': { capacity: 100, retryAfterMs: 1_000 },
  log: logLine,
  'gateway.shutdown': { reason: 'SIGTERM', restart: false, drainTimeoutMs: 30_000 },
}

export const EXAMPLE_SESSION_KEY = SESSION_KEY
export const EXAMPLE_AT = AT
