import t from 'tap'
import type { Role } from '../../../src/config/schema.js'
import { startScripted } from '../../helpers/scripted-agent.js'

const KEY = 'web:1:main'
const long = (length: number) => 'x'.repeat(length + 1)

interface Case {
  readonly method: string
  readonly session: 'required' | 'optional' | 'none'
  readonly scope: 'read' | 'write' | 'admin' | 'agent' | null
  /** Parameters that are refused, with the path that the error names. */
  readonly bad?: readonly (readonly [params: object, path: string])[]
}

const page: Case['bad'] = [
  [{ limit: 0 }, 'params.limit'],
  [{ limit: 501 }, 'params.limit'],
  [{ limit: 1.5 }, 'params.limit'],
  [{ limit: '5' }, 'params.limit'],
]
const cursor: Case['bad'] = [
  [{ cursor: '' }, 'params.cursor'],
  [{ cursor: 5 }, 'params.cursor'],
  [{ cursor: 'nonsense' }, 'params.cursor'],
  [{ cursor: long(512) }, 'params.cursor'],
]
const id = (name: string): [object, string][] => [
  [{}, `params.${name}`],
  [{ [name]: '' }, `params.${name}`],
  [{ [name]: 5 }, `params.${name}`],
  [{ [name]: long(128) }, `params.${name}`],
]
const settings: Case['bad'] = [
  [{ title: '' }, 'params.title'],
  [{ title: 5 }, 'params.title'],
  [{ title: long(256) }, 'params.title'],
  [{ agent: '' }, 'params.agent'],
  [{ agent: {} }, 'params.agent'],
  [{ metadata: 'x' }, 'params.metadata'],
  [{ metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, i])) }, 'params.metadata'],
]
const selection: Case['bad'] = [
  [{ patterns: [] }, 'params.patterns'],
  [{ patterns: 'agent.*' }, 'params.patterns'],
  [{ patterns: [5] }, 'params.patterns.0'],
  [{ patterns: Array.from({ length: 65 }, () => 'a') }, 'params.patterns'],
  [{ sessionKeys: [] }, 'params.sessionKeys'],
  [{ sessionKeys: ['ok', 'not ok'] }, 'params.sessionKeys.1'],
]
const channel: Case['bad'] = [
  [{}, 'params.channel'],
  [{ channel: '' }, 'params.channel'],
  [{ channel: long(32) }, 'params.channel'],
]
const choice: [object, string][] = [
  [{}, 'params.code'],
  [{ channel: 'x' }, 'params.code'],
  [{ peer: 'x' }, 'params.code'],
  [{ code: '' }, 'params.code'],
  [{ channel: 'x', peer: 5 }, 'params.peer'],
  [{ requestId: '' }, 'params.requestId'],
]
const grant: [object, string][] = [
  [{ role: 'emperor' }, 'params.role'],
  [{ scopes: ['all'] }, 'params.scopes.0'],
  [{ scopes: 'read' }, 'params.scopes'],
  [{ sessions: [] }, 'params.sessions'],
  [{ sessions: [''] }, 'params.sessions.0'],
  [{ sessions: ['*', 5] }, 'params.sessions.1'],
  [{ limits: { connections: -1 } }, 'params.limits.connections'],
]
const token: [object, string][] = [
  [{}, 'params.tokenId'],
  [{ tokenId: 'x', name: 'x' }, 'params.tokenId'],
  [{ tokenId: '' }, 'params.tokenId'],
  [{ name: 5 }, 'params.name'],
]

const withAll = (common: object, cases: [object, string][]): [object, string][] =>
  cases.map(([params, path]) => [{ ...common, ...params }, path])

const schedule = { everyMs: 60_000 }
const payload = { kind: 'agentTurn', message: 'x' }
const badSchedules: [object, string][] = [
  [{}, ''],
  [{ at: 1, everyMs: 60_000 }, ''],
  [{ at: 1 }, '.at'],
  [{ at: 'soon' }, '.at'],
  [{ at: '2030-01-01T00:00:00' }, '.at'],
  [{ at: -1 }, '.at'],
  [{ at: 253_402_300_800_000 }, '.at'],
  [{ everyMs: 999 }, '.everyMs'],
  [{ everyMs: 'x' }, '.everyMs'],
  [{ everyMs: 60_000, anchor: -1 }, '.anchor'],
  [{ everyMs: 60_000, timeZone: 'UTC' }, '.timeZone'],
  [{ cron: '* * * * *', anchor: 1 }, '.anchor'],
  [{ cron: '' }, '.cron'],
  [{ cron: '61 * * * *' }, '.cron'],
  [{ cron: '* * *' }, '.cron'],
  [{ cron: '@reboot' }, '.cron'],
  [{ cron: '2030-01-01T00:00:00' }, '.cron'],
  [{ cron: '0 0 0 1 1 * 2020' }, '.cron'],
  [{ cron: '* * * * *', timeZone: 'Mars/Olympus' }, '.timeZone'],
]
const badPayloads: [object, string][] = [
  [{}, '.kind'],
  [{ kind: 'x' }, '.kind'],
  [{ kind: 'systemEvent' }, '.text'],
  [{ kind: 'systemEvent', text: '' }, '.text'],
  [{ kind: 'systemEvent', text: long(16_384) }, '.text'],
  [{ kind: 'systemEvent', text: 'x', message: 'x' }, '.message'],
  [{ kind: 'systemEvent', text: 'x', deliver: {} }, '.deliver'],
  [{ kind: 'agentTurn' }, '.message'],
  [{ kind: 'agentTurn', message: 'x', text: 'x' }, '.text'],
  [{ kind: 'agentTurn', message: 'x', agent: '' }, '.agent'],
  [{ kind: 'agentTurn', message: 'x', deliver: {} }, '.deliver'],
  [{ kind: 'agentTurn', message: 'x', deliver: { channel: 'x' } }, '.deliver'],
  [{ kind: 'agentTurn', message: 'x', deliver: { channel: '', peer: 'x' } }, '.deliver.channel'],
]
const jobs: Case['bad'] = [
  [{ schedule, payload, name: '' }, 'params.name'],
  [{ schedule, payload, enabled: 'yes' }, 'params.enabled'],
  [{ schedule, payload, misfire: 'x' }, 'params.misfire'],
  [{ schedule, payload, overlap: 'x' }, 'params.overlap'],
  [{ schedule, payload, deleteAfterRun: 1 }, 'params.deleteAfterRun'],
  ...badSchedules.map(([schedule, path]): [object, string] => [
    { schedule, payload },
    `params.schedule${path}`,
  ]),
  ...badPayloads.map(([payload, path]): [object, string] => [{ schedule, payload }, `params.payload${path}`]),
]

const CASES: readonly Case[] = [
  { method: 'cron.list', session: 'optional', scope: 'read', bad: [...page, ...cursor] },
  {
    method: 'cron.add',
    session: 'optional',
    scope: 'write',
    bad: [...jobs, [{ payload }, 'params.schedule'], [{ schedule }, 'params.payload']],
  },
  { method: 'cron.update', session: 'none', scope: 'write', bad: id('jobId') },
  { method: 'cron.remove', session: 'none', scope: 'write', bad: id('jobId') },
  { method: 'cron.run', session: 'none', scope: 'write', bad: id('jobId') },
  {
    method: 'cron.runs',
    session: 'none',
    scope: 'read',
    bad: [...id('jobId'), [{ jobId: 'x', cursor: 'nonsense' }, 'params.cursor']],
  },
  { method: 'gateway.info', session: 'none', scope: 'read' },
  { method: 'gateway.health', session: 'none', scope: 'read' },
  { method: 'gateway.ping', session: 'none', scope: null },
  { method: 'methods.list', session: 'none', scope: null },
  {
    method: 'config.get',
    session: 'none',
    scope: 'admin',
    bad: [
      [{ path: '' }, 'params.path'],
      [{ path: 5 }, 'params.path'],
      [{ path: 'lanes..capacity' }, 'params.path'],
    ],
  },
  { method: 'config.schema', session: 'none', scope: 'admin' },
  {
    method: 'config.set',
    session: 'none',
    scope: 'admin',
    bad: [
      [{}, 'params.path'],
      [{ path: '', value: 1 }, 'params.path'],
      [{ path: '[', value: 1 }, 'params.path'],
      [{ path: long(1_000), value: 1 }, 'params.path'],
      [{ path: 'port', value: 1, baseHash: 5 }, 'params.baseHash'],
    ],
  },
  {
    method: 'config.patch',
    session: 'none',
    scope: 'admin',
    bad: [
      [{ baseHash: 'x' }, 'params.patch'],
      [{ patch: [], baseHash: 'x' }, 'params.patch'],
      [{ patch: {} }, 'params.baseHash'],
    ],
  },
  { method: 'config.reload', session: 'none', scope: 'admin' },
  { method: 'events.subscribe', session: 'none', scope: 'read', bad: selection },
  { method: 'events.unsubscribe', session: 'none', scope: 'read', bad: selection },
  {
    method: 'events.publish',
    session: 'required',
    scope: 'write',
    bad: [
      [{ payload: {} }, 'params.type'],
      [{ type: '', payload: {} }, 'params.type'],
      [{ type: long(128), payload: {} }, 'params.type'],
      [{ type: 'x' }, 'params.payload'],
      [{ type: 'x', payload: 'text' }, 'params.payload'],
      [{ type: 'x', payload: {}, source: '' }, 'params.source'],
      [{ type: 'x', payload: {}, source: 7 }, 'params.source'],
      [{ type: 'x', payload: {}, source: 'cron' }, 'params.source'],
      [{ type: 'x', payload: {}, priority: 'high' }, 'params.priority'],
      [{ type: 'x', payload: {}, idempotencyKey: '' }, 'params.idempotencyKey'],
    ],
  },
  {
    method: 'sessions.list',
    session: 'none',
    scope: 'read',
    bad: [
      ...page,
      ...cursor,
      [{ channel: '' }, 'params.channel'],
      [{ agent: 5 }, 'params.agent'],
      [{ active: 'yes' }, 'params.active'],
      [{ updatedSince: -1 }, 'params.updatedSince'],
      [{ cursor: Buffer.from('[1]').toString('base64url') }, 'params.cursor'],
      [{ cursor: Buffer.from('5').toString('base64url') }, 'params.cursor'],
    ],
  },
  { method: 'sessions.get', session: 'required', scope: 'read' },
  {
    method: 'sessions.history',
    session: 'required',
    scope: 'read',
    bad: [
      ...page,
      ...cursor,
      [{ cursor: '-1' }, 'params.cursor'],
      [{ cursor: '1e3' }, 'params.cursor'],
      [{ order: 'up' }, 'params.order'],
    ],
  },
  {
    method: 'sessions.search',
    session: 'optional',
    scope: 'read',
    bad: [
      [{}, 'params.query'],
      [{ query: '' }, 'params.query'],
      [{ query: '"*" -' }, 'params.query'],
      [{ query: 'a '.repeat(33) }, 'params.query'],
      [{ query: long(512) }, 'params.query'],
      [{ query: 'x', channel: '' }, 'params.channel'],
      ...page.map(([params, path]) => [{ query: 'x', ...params }, path] as const),
      ...cursor.map(([params, path]) => [{ query: 'x', ...params }, path] as const),
    ],
  },
  { method: 'sessions.export', session: 'required', scope: 'read', bad: cursor },
  { method: 'sessions.create', session: 'required', scope: 'write', bad: settings },
  { method: 'sessions.patch', session: 'required', scope: 'write', bad: settings },
  { method: 'sessions.reset', session: 'required', scope: 'write' },
  { method: 'sessions.delete', session: 'required', scope: 'write' },
  {
    method: 'sessions.send',
    session: 'required',
    scope: 'write',
    bad: [
      [{}, 'params.content'],
      [{ content: '' }, 'params.content'],
      [{ content: ['x'] }, 'params.content'],
      [{ content: 'x', attachments: {} }, 'params.attachments'],
      [{ content: 'x', attachments: [{}] }, 'params.attachments.0.type'],
      [
        { content: 'x', attachments: Array.from({ length: 33 }, () => ({ type: 'a/b' })) },
        'params.attachments',
      ],
      [{ content: 'x', idempotencyKey: '' }, 'params.idempotencyKey'],
      [{ content: 'x', idempotencyKey: long(128) }, 'params.idempotencyKey'],
      [{ content: 'x', priority: 'urgent' }, 'params.priority'],
      [{ content: 'x', wait: 'yes' }, 'params.wait'],
      [{ content: 'x', metadata: [] }, 'params.metadata'],
    ],
  },
  {
    method: 'agent.wait',
    session: 'none',
    scope: 'read',
    bad: [
      ...id('runId'),
      [{ runId: 'r', timeoutMs: -1 }, 'params.timeoutMs'],
      [{ runId: 'r', timeoutMs: 3_600_001 }, 'params.timeoutMs'],
      [{ runId: 'r', timeoutMs: 'soon' }, 'params.timeoutMs'],
    ],
  },
  {
    method: 'agent.abort',
    session: 'optional',
    scope: 'write',
    bad: [
      [{}, 'params.runId'],
      [{ runId: '' }, 'params.runId'],
      [{ runId: 'r', reason: '' }, 'params.reason'],
      [{ runId: 'r', reason: long(256) }, 'params.reason'],
    ],
  },
  { method: 'channels.list', session: 'none', scope: 'read' },
  { method: 'channels.status', session: 'none', scope: 'read', bad: channel },
  { method: 'channels.start', session: 'none', scope: 'admin', bad: channel },
  { method: 'channels.stop', session: 'none', scope: 'admin', bad: channel },
  {
    method: 'channels.send',
    session: 'optional',
    scope: 'write',
    bad: [
      [{ text: 'x' }, 'params.channel'],
      [{ text: 'x', channel: 'x' }, 'params.channel'],
      [{ text: 'x', channel: '', peer: 'x' }, 'params.channel'],
      [{ text: 'x', channel: 'x', peer: '' }, 'params.peer'],
      [{ text: 'x', channel: 'x', peer: 'x', thread: 5 }, 'params.thread'],
      [{ text: 5, channel: 'x', peer: 'x' }, 'params.text'],
      [{ attachments: [{}], channel: 'x', peer: 'x' }, 'params.attachments.0.type'],
      [{ text: 'x', channel: 'x', peer: 'x', wait: 'yes' }, 'params.wait'],
    ],
  },
  { method: 'pairing.list', session: 'none', scope: 'read', bad: [[{ state: 'x' }, 'params.state']] },
  {
    method: 'pairing.approve',
    session: 'none',
    scope: 'admin',
    bad: [
      ...choice,
      [{ code: 'x', group: 'yes' }, 'params.group'],
      [{ code: 'x', name: '' }, 'params.name'],
      ...withAll({ code: 'x' }, grant),
    ],
  },
  { method: 'pairing.reject', session: 'none', scope: 'admin', bad: choice },
  {
    method: 'tokens.new',
    session: 'none',
    scope: 'admin',
    bad: [
      [{}, 'params.name'],
      [{ name: '' }, 'params.name'],
      [{ name: 'with blank' }, 'params.name'],
      [{ name: 'jwt:alice' }, 'params.name'],
      [{ name: long(64) }, 'params.name'],
      [{ name: 'x', expiresInMs: 0 }, 'params.expiresInMs'],
      [{ name: 'x', expiresInMs: '1d' }, 'params.expiresInMs'],
      ...withAll({ name: 'x' }, grant),
    ],
  },
  { method: 'tokens.list', session: 'none', scope: 'admin', bad: [...page, ...cursor] },
  { method: 'tokens.revoke', session: 'none', scope: 'admin', bad: token },
  {
    method: 'tokens.rotate',
    session: 'none',
    scope: 'admin',
    bad: [...token, [{ name: 'x', overlapMs: -1 }, 'params.overlapMs']],
  },
  { method: 'devices.list', session: 'none', scope: 'admin', bad: [...page, ...cursor] },
  { method: 'devices.revoke', session: 'none', scope: 'admin', bad: id('deviceId') },
  {
    method: 'audit.list',
    session: 'none',
    scope: 'admin',
    bad: [
      ...page,
      ...cursor,
      [{ principal: '' }, 'params.principal'],
      [{ method: 5 }, 'params.method'],
      [{ since: -1 }, 'params.since'],
    ],
  },
  { method: 'agent.questions', session: 'optional', scope: 'read' },
  {
    method: 'agent.answer',
    session: 'optional',
    scope: 'write',
    bad: [
      ...id('requestId'),
      [{ requestId: 'x', optionId: '' }, 'params.optionId'],
      [{ requestId: 'x', cancel: false }, 'params.cancel'],
      [{ requestId: 'x' }, 'params.optionId'],
    ],
  },
  { method: 'agents.list', session: 'none', scope: 'read' },
  {
    method: 'lanes.list',
    session: 'none',
    scope: 'read',
    bad: [
      ...page,
      ...cursor,
      [{ channel: '' }, 'params.channel'],
      [{ running: 1 }, 'params.running'],
      [{ paused: 'yes' }, 'params.paused'],
    ],
  },
  { method: 'lanes.get', session: 'required', scope: 'read', bad: [...page, ...cursor] },
  { method: 'lanes.pause', session: 'required', scope: 'admin' },
  { method: 'lanes.resume', session: 'required', scope: 'admin' },
  {
    method: 'connections.list',
    session: 'none',
    scope: 'admin',
    bad: [...page, ...cursor, [{ principal: '' }, 'params.principal'], [{ worker: 1 }, 'params.worker']],
  },
  {
    method: 'connections.close',
    session: 'none',
    scope: 'admin',
    bad: [
      ...id('connId'),
      [{ connId: 'c', reason: '' }, 'params.reason'],
      [{ connId: 'c', reason: long(120) }, 'params.reason'],
    ],
  },
  {
    method: 'logs.tail',
    session: 'none',
    scope: 'admin',
    bad: [
      [{ level: 'loud' }, 'params.level'],
      [{ limit: -1 }, 'params.limit'],
      [{ limit: 1_001 }, 'params.limit'],
    ],
  },
  { method: 'logs.untail', session: 'none', scope: 'admin' },
  { method: 'deadLetters.list', session: 'optional', scope: 'read', bad: [...page, ...cursor] },
  { method: 'deadLetters.retry', session: 'none', scope: 'write', bad: id('eventId') },
  { method: 'deadLetters.discard', session: 'none', scope: 'write', bad: id('eventId') },
  {
    method: 'worker.register',
    session: 'none',
    scope: 'agent',
    bad: [
      [{ credit: 1 }, 'params.agent'],
      [{ agent: 'x' }, 'params.credit'],
      [{ agent: 'x', credit: -1 }, 'params.credit'],
      [{ agent: 'x', credit: 10_001 }, 'params.credit'],
    ],
  },
  { method: 'worker.unregister', session: 'none', scope: 'agent', bad: [[{}, 'params.agent']] },
  {
    method: 'worker.complete',
    session: 'none',
    scope: 'agent',
    bad: [
      [{ content: 'x' }, 'params.lease'],
      [{ lease: 'x' }, 'params.content'],
      [{ lease: 'x', content: 'x', usage: 1 }, 'params.usage'],
    ],
  },
  {
    method: 'worker.fail',
    session: 'none',
    scope: 'agent',
    bad: [
      [{ lease: 'x' }, 'params.error'],
      [{ lease: 'x', error: {} }, 'params.error.message'],
      [{ lease: 'x', error: { message: 'x', retryAfterMs: -1 } }, 'params.error.retryAfterMs'],
    ],
  },
  {
    method: 'deliveries.list',
    session: 'optional',
    scope: 'read',
    bad: [...page, ...cursor, [{ channel: '' }, 'params.channel']],
  },
  { method: 'deliveries.retry', session: 'none', scope: 'write', bad: id('deliveryId') },
  { method: 'hooks.list', session: 'none', scope: 'admin' },
  { method: 'hooks.reload', session: 'none', scope: 'admin' },
  { method: 'skills.list', session: 'none', scope: 'read' },
  {
    method: 'skills.get',
    session: 'none',
    scope: 'read',
    bad: [
      [{}, 'params.name'],
      [{ name: '' }, 'params.name'],
      [{ name: long(64) }, 'params.name'],
    ],
  },
  { method: 'deliveries.discard', session: 'none', scope: 'write', bad: id('deliveryId') },
]

const TOKENS: Record<string, { role: Role; sessions?: string[] }> = {
  admin: { role: 'admin' },
  operator: { role: 'operator' },
  viewer: { role: 'viewer' },
  agent: { role: 'agent' },
  confined: { role: 'admin', sessions: ['telegram:*'] },
}

const secret = (name: string) => `${name}-token-0123456789`

const auth = {
  enabled: true,
  tokens: Object.entries(TOKENS).map(([name, rights]) => ({ name, token: secret(name), ...rights })),
}

t.test('every method refuses a bad parameter, naming it and what was expected', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  t.same(
    CASES.map(({ method }) => method).sort(),
    socket.helloOk!.features.methods,
    'none is left out of this table',
  )
  for (const { method, session, bad = [] } of CASES) {
    const key = session === 'required' ? KEY : undefined
    for (const [params, path] of bad) {
      const error = await socket.refused(method, params, key)
      const name = `${method} ${JSON.stringify(params).slice(0, 80)}`
      t.match(error, { code: 'INVALID_REQUEST', retryable: false, details: { path } }, name)
      t.match(error.message, `${path}: expected `, name)
    }
  }
  t.equal(agent.runs.length, 0)
  t.same((await socket.call('sessions.list')).sessions, [], 'nothing of it was done')
})

t.test('a method that needs a session says so when there is none, or a bad one', async (t) => {
  const { connect } = await startScripted(t)
  for (const { method } of CASES.filter(({ session }) => session === 'required')) {
    const socket = await connect()
    for (const key of [undefined, null, '', 'not a key', 5, long(256)]) {
      const error = await socket.refused(method, { content: 'x', type: 'x', payload: {} }, key as string)
      t.match(error, { code: 'INVALID_REQUEST', message: /^sessionKey: expected / }, `${method} ${key}`)
    }
    socket.terminate()
  }
})

t.test('a method outside the scopes of a token is FORBIDDEN, whatever its parameters', async (t) => {
  const { connect } = await startScripted(t, { auth })
  const scopes = {
    admin: ['read', 'write', 'admin', 'agent'],
    operator: ['read', 'write'],
    viewer: ['read'],
    agent: ['agent'],
  }
  for (const [name, granted] of Object.entries(scopes)) {
    const socket = await connect({ auth: { token: secret(name) } })
    for (const { method, scope } of CASES) {
      const { error } = await socket.request(method, { limit: 'bad' }, KEY)
      if (scope === null || (granted as string[]).includes(scope)) {
        t.not(error?.code, 'FORBIDDEN', `${name} may call ${method}`)
      } else {
        t.match(error, { code: 'FORBIDDEN', details: { scope } }, `${name} may not call ${method}`)
      }
    }
  }
})

t.test('a token that is confined to some sessions neither sees nor touches others', async (t) => {
  const { connect, agent } = await startScripted(t, { auth })
  const admin = await connect({ auth: { token: secret('admin') } })
  const confined = await connect({ auth: { token: secret('confined') } })
  const { runId, eventId } = await admin.call('sessions.send', { content: 'secret' }, KEY)
  ;(await agent.next()).fail(Object.assign(new Error('no')))
  const mine = await confined.call('sessions.send', { content: 'mine' }, 'telegram:1:main')
  for (const { method } of CASES.filter(({ session }) => session === 'required')) {
    const error = await confined.refused(method, { content: 'x', type: 'x', payload: {} }, KEY)
    t.match(error, { code: 'FORBIDDEN', details: { sessionKey: KEY } }, method)
  }
  for (const method of ['agent.wait', 'agent.abort']) {
    t.match(await confined.refused(method, { runId }), { code: 'NOT_FOUND' }, method)
  }
  t.match(await confined.refused('agent.abort', {}, KEY), { code: 'FORBIDDEN' })
  t.match(await confined.refused('deadLetters.list', {}, KEY), { code: 'FORBIDDEN' })
  for (const method of ['deadLetters.retry', 'deadLetters.discard']) {
    t.match(await confined.refused(method, { eventId }), { code: 'NOT_FOUND' }, method)
  }
  t.match(await confined.refused('events.subscribe', { sessionKeys: [KEY] }), { code: 'FORBIDDEN' })
  const keys = (list: { key?: string; sessionKey?: string }[]) => list.map((it) => it.key ?? it.sessionKey)
  t.same(keys((await confined.call('sessions.list')).sessions), ['telegram:1:main'])
  t.same(keys((await confined.call('sessions.list', { active: true })).sessions), ['telegram:1:main'])
  t.same(keys((await confined.call('sessions.list', { active: false })).sessions), [])
  t.same(keys((await confined.call('lanes.list')).lanes), ['telegram:1:main'])
  t.same((await confined.call('deadLetters.list')).deadLetters, [])
  t.match(await confined.refused('agent.wait', { runId: mine.runId, timeoutMs: 0 }), {
    code: 'AGENT_TIMEOUT',
  })
  t.notOk(
    confined.events().some(({ sessionKey }) => sessionKey === KEY),
    'not one event of theirs',
  )
})
