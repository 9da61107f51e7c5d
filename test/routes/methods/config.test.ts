import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { BASE, startConfigured } from '../../helpers/config-app.js'
import { captureLog } from '../../helpers/log.js'
import { ScriptedAgent } from '../../helpers/scripted-agent.js'
import { TestSocket } from '../../helpers/socket.js'
import { until } from '../../helpers/until.js'

const TOKENS = `auth:
  tokens:
    - name: ops
      token: operators-token-1
    - name: ci # reads only
      token: integration-token
      scopes: [read]
`

t.test('config.get shows the configuration, where it comes from, and no secret', async (t) => {
  const { connect, path } = await startConfigured(t, {
    text: BASE + TOKENS,
    env: { LURKBOT_GATEWAY__LANES__CAPACITY: '7' },
  })
  const socket = await connect('operators-token-1')
  const got = await socket.call('config.get')
  t.match(got, {
    file: path,
    pending: [],
    problem: null,
    value: { port: 0, lanes: { capacity: 7, maxPending: 100_000 } },
  })
  t.notMatch(JSON.stringify(got), /operators-token|integration-token/)
  t.match(got.sources, {
    port: `${path}:2`,
    'lanes.capacity': 'environment LURKBOT_GATEWAY__LANES__CAPACITY',
    'lanes.maxPending': 'default',
  })
  const lanes = await socket.call('config.get', { path: 'lanes' })
  t.equal(lanes.value.capacity, 7)
  t.ok(Object.keys(lanes.sources).every((name) => name.startsWith('lanes.')))
  t.match(await socket.call('config.get', { path: 'auth.tokens[1].name' }), { value: 'ci' })
  t.match(await socket.refused('config.get', { path: 'lanes.nothing' }), { code: 'NOT_FOUND' })
  t.match(await socket.refused('config.get', { path: 'lanes..x' }), { code: 'INVALID_REQUEST' })
})

t.test('config.schema gives the JSON Schema', async (t) => {
  const { connect } = await startConfigured(t)
  const { schema } = await (await connect()).call('config.schema')
  t.match(schema, { type: 'object', properties: { port: { type: 'integer', default: 18_789 } } })
})

t.test('only an admin reads or changes the configuration', async (t) => {
  const { connect, read } = await startConfigured(t, { text: BASE + TOKENS })
  const socket = await connect('integration-token')
  const before = await read()
  for (const [method, params] of [
    ['config.get', {}],
    ['config.schema', {}],
    ['config.set', { path: 'log.level', value: 'debug' }],
    ['config.patch', { patch: {}, baseHash: 'x' }],
    ['config.reload', {}],
  ] as const) {
    t.match(await socket.refused(method, params), { code: 'FORBIDDEN' }, method)
  }
  t.equal(await read(), before)
})

t.test('config.set writes one value, keeps the comments, applies it and tells everyone', async (t) => {
  const { connect, read, path } = await startConfigured(t)
  const socket = await connect()
  const result = await socket.call('config.set', { path: 'lanes.capacity', value: 5 })
  t.match(result, { applied: ['lanes.capacity'], restartRequired: [], pending: [] })
  t.match(await read(), /^# by hand\n.*type: memory # nothing is kept.*\n {2}capacity: 5\n/s)
  t.equal(await readFile(`${path}.bak`, 'utf8'), BASE, 'the text before is kept')
  t.match((await socket.event('config.changed')).payload, {
    paths: ['lanes.capacity'],
    restartRequired: [],
    source: 'rpc',
    by: 'anonymous',
  })
  const { value, hash } = await socket.call('config.get', { path: 'lanes.capacity' })
  t.equal(value, 5)
  t.equal(hash, result.hash)

  await socket.call('config.set', { path: 'lanes.capacity', value: null })
  t.notMatch(await read(), /capacity/)
  t.match(await socket.call('config.get', { path: 'lanes.capacity' }), { value: 100 })
})

t.test('what cannot apply now is named, stays pending, and is in effect after a restart', async (t) => {
  const { connect } = await startConfigured(t)
  const socket = await connect()
  const patch = { basePath: '/gw', lanes: { capacity: 9 } }
  const { hash } = await socket.call('config.get')
  const result = await socket.call('config.patch', { patch, baseHash: hash })
  t.match(result, { applied: ['lanes.capacity'], restartRequired: ['basePath'], pending: ['basePath'] })
  t.match((await socket.event('config.changed')).payload, { restartRequired: ['basePath'] })
  t.match(await socket.call('config.get', { path: 'basePath' }), { value: '/gw', pending: ['basePath'] })
  t.match(await socket.call('config.set', { path: 'lanes.capacity', value: 10 }), {
    restartRequired: [],
    pending: ['basePath'],
  })
  t.match(await socket.call('config.set', { path: 'basePath' }), {
    restartRequired: ['basePath'],
    pending: [],
  })
})

t.test('a bad change changes nothing and names every problem, its place and what was expected', async (t) => {
  const { connect, read, path } = await startConfigured(t)
  const socket = await connect()
  const { hash } = await socket.call('config.get')
  const patch = { lanes: { capacity: 0 }, defaultAgent: 'nobody', prot: 1 }
  const error = await socket.refused('config.patch', { patch, baseHash: hash })
  t.equal(error.code, 'INVALID_REQUEST')
  t.match(
    error.details.problems.map(({ path }: { path: string }) => path),
    ['prot', 'lanes.capacity', 'defaultAgent'],
  )
  const capacity = error.details.problems.find(({ path }: { path: string }) => path === 'lanes.capacity')
  t.match(capacity, { message: 'expected an integer from 1 to 100000000, found 0' })
  t.match(capacity.source, `${path}:`)
  t.equal(await read(), BASE)
  await t.rejects(access(`${path}.bak`))
  t.match(await socket.call('config.get'), { hash, pending: [], problem: null })

  const agents = { mine: { type: 'module', path: './none.mjs' } }
  t.match(await socket.refused('config.patch', { patch: { agents }, baseHash: hash }), {
    code: 'INVALID_REQUEST',
    details: { problems: [{ path: 'agents.mine.path' }] },
  })
  t.match(await socket.refused('config.set', { path: 'port[3]', value: 1 }), { code: 'INVALID_REQUEST' })
  t.match(
    await socket.refused('config.patch', { patch: JSON.parse('{"__proto__":{"x":1}}'), baseHash: hash }),
    {
      code: 'INVALID_REQUEST',
    },
  )
  t.equal(await read(), BASE)
})

t.test('of two who change the same text one hears of the conflict, and nothing is lost', async (t) => {
  const { connect, read } = await startConfigured(t)
  const [a, b] = [await connect(), await connect()]
  const { hash: baseHash } = await a.call('config.get')
  const answers = await Promise.all([
    a.request('config.patch', { patch: { lanes: { capacity: 11 } }, baseHash }),
    b.request('config.patch', { patch: { lanes: { concurrency: 12 } }, baseHash }),
  ])
  const refused = answers.filter(({ error }) => error !== null)
  t.equal(refused.length, 1)
  t.match(refused[0]!.error, { code: 'CONFLICT', details: { hash: String } })
  const { hash } = refused[0]!.error.details
  await b.call('config.patch', { patch: { lanes: { concurrency: 12 } }, baseHash: hash })
  t.match(await read(), /capacity: 11\n.*concurrency: 12\n/s)
})

t.test('what was written by hand since is not written over', async (t) => {
  const { connect, read, write } = await startConfigured(t)
  const socket = await connect()
  const { hash: baseHash } = await socket.call('config.get')
  await write(`${BASE}# more\n`)
  t.match(await socket.refused('config.patch', { patch: { lanes: { capacity: 2 } }, baseHash }), {
    code: 'CONFLICT',
  })
  await socket.call('config.reload')
  await socket.call('config.set', { path: 'lanes.capacity', value: 3 })
  t.match(await read(), /# more/)
})

t.test('what environment or flags say cannot be changed here, and the answer says where', async (t) => {
  const { connect, read } = await startConfigured(t, {
    env: { LURKBOT_GATEWAY__LANES__CAPACITY: '7' },
    flags: { logLevel: 'error' },
  })
  const socket = await connect()
  const error = await socket.refused('config.set', { path: 'lanes.capacity', value: 9 })
  t.match(error, {
    code: 'INVALID_REQUEST',
    details: {
      problems: [{ path: 'lanes.capacity', source: 'environment LURKBOT_GATEWAY__LANES__CAPACITY' }],
    },
  })
  t.match(await socket.refused('config.set', { path: 'log', value: { level: 'debug' } }), {
    details: { problems: [{ path: 'log.level', source: 'flag --log-level' }] },
  })
  t.equal(await read(), BASE)
  t.match(await socket.call('config.set', { path: 'lanes.concurrency', value: 3 }), {
    applied: ['lanes.concurrency'],
  })
})

t.test('a placeholder keeps the secret that it stands for, and is never written', async (t) => {
  const { connect, read } = await startConfigured(t, { text: BASE + TOKENS })
  const socket = await connect('operators-token-1')
  const { value, hash } = await socket.call('config.get', { path: 'auth.tokens' })
  t.match(value, [
    { name: 'ops', token: '[redacted]' },
    { name: 'ci', token: '[redacted]' },
  ])
  const tokens = [value[1], value[0], { name: 'new', token: 'another-token-123', scopes: ['read'] }]
  await socket.call('config.patch', { patch: { auth: { tokens } }, baseHash: hash })
  const text = await read()
  t.match(text, /operators-token-1/)
  t.match(text, /integration-token/)
  t.notMatch(text, /redacted/)
  t.equal((await connect('another-token-123')).helloOk?.auth.role, 'custom')
  const lost = [{ name: 'other', token: '***' }]
  t.match(await socket.refused('config.set', { path: 'auth.tokens', value: lost }), {
    code: 'INVALID_REQUEST',
    details: { problems: [{ path: 'auth.tokens[0].token' }] },
  })
})

t.test('a token that is gone ends its connections at once; the others and new ones are let in', async (t) => {
  const { connect } = await startConfigured(t, { text: BASE + TOKENS })
  const [ops, ci] = [await connect('operators-token-1'), await connect('integration-token')]
  const tokens = [
    { name: 'ops', token: '***' },
    { name: 'new', token: 'the-token-of-today', role: 'viewer' },
  ]
  t.match(await ops.call('config.set', { path: 'auth.tokens', value: tokens }), { applied: ['auth.tokens'] })
  t.match(await ci.closed, { code: 4401 })
  t.equal((await connect('the-token-of-today')).helloOk?.auth.role, 'viewer')
  t.match((await connect('integration-token')).frames[0], {
    type: 'hello-error',
    error: { code: 'UNAUTHORIZED' },
  })
  t.ok(await ops.call('gateway.ping'), 'who is the same as before notices nothing')
})

t.test('the first token shuts out those who came in without one', async (t) => {
  const { connect } = await startConfigured(t)
  const [admin, other] = [await connect(), await connect()]
  admin.send({
    type: 'request',
    id: 'x',
    method: 'config.set',
    params: { path: 'auth.tokens', value: ['the-first-token'] },
  })
  t.match(await other.closed, { code: 4401 })
  t.equal((await connect('the-first-token')).helloOk?.auth.role, 'admin')
})

t.test('which web pages may ask changes at once', async (t) => {
  const { connect, port } = await startConfigured(t)
  const socket = await connect()
  const ask = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/health`, {
      headers: { origin: 'https://app.example' },
    })
    await answer.body?.cancel()
    return answer.status
  }
  t.equal(await ask(), 403)
  t.match(await socket.refused('config.set', { path: 'auth.allowedOrigins', value: ['no origin'] }), {
    code: 'INVALID_REQUEST',
    details: { problems: [{ path: 'auth.allowedOrigins[0]' }] },
  })
  await socket.call('config.set', { path: 'auth.allowedOrigins', value: ['https://app.example'] })
  t.equal(await ask(), 200)
})

t.test('the log level changes at once', async (t) => {
  const { logger, lines } = captureLog()
  logger.level = 'info'
  const { connect, app } = await startConfigured(t, { logger })
  const socket = await connect()
  app.log.debug({}, 'not this')
  await socket.call('config.set', { path: 'log.level', value: 'debug' })
  app.log.debug({}, 'but this')
  t.match(
    lines.map(({ msg }) => msg).filter((msg) => msg.endsWith('this')),
    ['but this'],
  )
})

t.test('limits change at once: frames, lanes, overload', async (t) => {
  const { connect, app } = await startConfigured(t)
  const socket = await connect()
  const set = (path: string, value: unknown) => socket.call('config.set', { path, value })
  await set('lanes.capacity', 3)
  t.equal(app.lanes.dispatcher.limits.capacity, 3)
  await set('overload.maxRssBytes', 123_456_789_000)
  t.equal(app.overload.memory.bounds.rss, 123_456_789_000)
  await set('hooks.timeoutMs', 77)
  t.equal(app.hooks.limits.timeoutMs, 77)
  await set('rateLimit.frames', { max: 3, windowMs: 60_000 })
  const answers = await Promise.all(Array.from({ length: 4 }, () => socket.request('gateway.ping')))
  t.ok(answers.some(({ error }) => error?.code === 'RATE_LIMITED'))
})

/** The agent of every session does what the test says. */
async function startScriptable(t: Test, text = '') {
  const agent = new ScriptedAgent()
  const agents = 'defaultAgent: mine\nagents:\n  mine: { type: scripted }\n'
  const prepare = (app: FastifyInstance) => app.agent('scripted', () => agent)
  return { agent, ...(await startConfigured(t, { text: BASE + text + agents, prepare })) }
}

t.test('so do those of connections and jobs, for who is there already, too', async (t) => {
  const { connect, app, port, agent } = await startScriptable(t)
  const socket = await connect()
  const set = (path: string, value: unknown) => socket.call('config.set', { path, value })
  const job = { schedule: { everyMs: 60_000 }, payload: { kind: 'systemEvent', text: 'tick' } }
  await socket.call('cron.add', job)
  t.match(await set('cron.maxJobs', 1), { applied: ['cron.maxJobs'], pending: [] })
  t.match(await socket.refused('cron.add', job), { code: 'UNAVAILABLE', message: /cron\.maxJobs/ })
  await set('cron.maxJobs', 2)
  await socket.call('cron.add', job)

  t.match(await set('connection.maxInFlight', 1), { applied: ['connection.maxInFlight'], pending: [] })
  const waits = socket.call('sessions.send', { content: 'work', wait: true }, 'web:1')
  const run = await agent.next()
  t.match(await socket.refused('gateway.ping'), { code: 'RATE_LIMITED' })
  run.reply()
  await waits
  t.match((await connect()).helloOk, { policy: { maxInFlight: 1 } })

  const { size } = app.connections
  t.match(await set('connection.maxConnections', size), { applied: ['connection.maxConnections'] })
  const another = new TestSocket(`ws://127.0.0.1:${port}/ws`)
  t.match(await another.closed, { code: 1013 })
  await set('connection.maxConnections', size + 9)
  t.ok((await connect()).helloOk)
})

t.test('limits of principals change at once, for connections that came without any', async (t) => {
  const { connect, app, agent } = await startScriptable(t, TOKENS)
  const [ops, ci] = [await connect('operators-token-1'), await connect('integration-token')]
  const set = (path: string, value: unknown) => ops.call('config.set', { path, value })
  t.equal(app.connections.find(ci.helloOk!.server.connId)!.usage, null)
  const { runId } = await ops.call('sessions.send', { content: 'work' }, 'web:1')
  const run = await agent.next()
  const waits = ci.call('agent.wait', { runId })
  t.ok(await ci.call('gateway.ping'))
  t.match(await set('auth.limits.connections', 1), { applied: ['auth.limits.connections'], pending: [] })
  t.match((await connect('integration-token')).frames[0], {
    type: 'hello-error',
    error: { code: 'RATE_LIMITED', details: { limit: 'connections' } },
  })
  t.ok(await ci.call('gateway.ping'), 'who is there stays')
  await set('auth.limits.connections', 2)
  t.ok((await connect('integration-token')).helloOk)

  await set('auth.limits.inFlight', 1)
  t.match(await ci.refused('gateway.ping'), { code: 'RATE_LIMITED', details: { limit: 'inFlight' } })
  run.reply()
  t.match(await waits, { status: 'completed' })
  t.ok(await ci.call('gateway.ping'), 'what was in flight before counts no longer once it is answered')
})

t.test(
  'an agent is replaced while it runs: the run ends with the old one, the next has the new one',
  async (t) => {
    const made: ScriptedAgent[] = []
    const closed: ScriptedAgent[] = []
    const { connect } = await startConfigured(t, {
      text: `${BASE}defaultAgent: mine\nagents:\n  mine: { type: scripted, mood: calm, concurrency: 1 }\n`,
      prepare: (app) =>
        app.agent('scripted', () => {
          const agent = new ScriptedAgent()
          made.push(agent)
          return Object.assign(agent, { close: async () => void closed.push(agent) })
        }),
    })
    const socket = await connect()
    const first = socket.call('sessions.send', { content: 'one', wait: true }, 'web:1')
    const run = await made[0]!.next()
    await socket.call('sessions.send', { content: 'waits for its turn' }, 'web:2')
    t.match(await socket.call('config.set', { path: 'agents.mine.mood', value: 'bright' }), {
      applied: ['agents.mine'],
    })
    t.equal(made.length, 2)
    const next = await made[1]!.next()
    t.equal(next.content, 'waits for its turn', 'what waited for the old one goes to the new one')
    t.same(closed, [])
    run.reply('still me')
    t.match(await first, { outcome: { status: 'completed' } })
    await until(() => closed.length === 1)
    t.equal(closed[0], made[0])
    next.reply()
  },
)

t.test('an agent that is gone leaves its sessions to the routing', async (t) => {
  const { connect } = await startConfigured(t, { text: `${BASE}agents:\n  mine: { type: echo }\n` })
  const socket = await connect()
  await socket.call('sessions.create', { agent: 'mine' }, 'web:1')
  t.match(await socket.call('config.set', { path: 'agents.mine' }), { applied: ['agents.mine'] })
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'web:1')
  t.match((await socket.event('agent.started')).payload, { agent: 'echo' })
})

t.test('a file that is edited by hand applies by itself; a bad one does not, and says why', async (t) => {
  const text = BASE.replace('watchIntervalMs: 0', 'watchIntervalMs: 5')
  const { logger, lines } = captureLog()
  const { connect, write, path } = await startConfigured(t, { text, logger })
  const socket = await connect()
  await write(`${text}  capacity: 6\n`)
  t.match((await socket.event('config.changed')).payload, {
    paths: ['lanes.capacity'],
    source: 'file',
    by: null,
  })
  await write(`${text}  capacity: six\n`)
  await until(async () => (await socket.call('config.get')).problem !== null)
  const { value, problem } = await socket.call('config.get')
  t.equal(value.lanes.capacity, 6)
  t.match(problem.problems, [{ path: 'lanes.capacity', source: `${path}:10` }])
  t.match(await socket.call('gateway.health'), {
    status: 'degraded',
    checks: { config: { status: 'degraded' } },
  })
  t.ok(lines.some(({ msg }) => msg.startsWith('the changed configuration file is not used')))
  await write(`${text}  capacity: 8\n`)
  await until(async () => (await socket.call('config.get')).problem === null)
  t.match(await socket.call('gateway.health'), { checks: { config: { status: 'ok' } } })
  t.match(await socket.call('config.get', { path: 'lanes.capacity' }), { value: 8 })
})

t.test('the first change makes a file that is for its owner only', async (t) => {
  const { connect, home } = await startConfigured(t, {
    text: null,
    env: { LURKBOT_GATEWAY__PORT: '0', LURKBOT_GATEWAY__JOURNAL__TYPE: 'memory' },
  })
  const socket = await connect()
  t.match(await socket.call('config.get'), { file: null })
  await socket.call('config.set', { path: 'lanes.capacity', value: 5 })
  t.equal(await readFile(join(home, 'config.yaml'), 'utf8'), 'lanes:\n  capacity: 5\n')
  t.match(await socket.call('config.get'), { file: join(home, 'config.yaml') })
})

t.test('JSON stays JSON', async (t) => {
  const text = '{\n    "port": 0,\n    "journal": {"type": "memory"}\n}\n'
  const { connect, read } = await startConfigured(t, { text, name: 'config.json' })
  await (await connect()).call('config.set', { path: 'log.level', value: 'warn' })
  t.equal(
    await read(),
    `${JSON.stringify({ port: 0, journal: { type: 'memory' }, log: { level: 'warn' } }, null, 4)}\n`,
  )
})
