import t from 'tap'
import { Hooks } from '../../src/hooks/hooks.js'
import { GatewayError } from '../../src/protocol/errors.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'
const PLAIN = {
  name: 'plain',
  kind: 'rule',
  source: 'test',
  description: null,
  events: ['gateway:started'],
  priority: 100,
  enabled: true,
} as const
const LIMITS = { timeoutMs: 1_000, concurrency: 2, maxQueued: 2 }

t.test('a pattern that no internal event matches is a mistake that is told', async (t) => {
  const hooks = new Hooks(captureLog().logger, LIMITS)
  t.throws(() => hooks.on('message:recieved', () => {}), { message: /'message:recieved'.*message:received/ })
  t.throws(() => hooks.on('agent.*', () => {}), { message: /'agent\.\*' is no internal event/ })
})

t.test('hooks run in the order in which they were added, by name or by pattern', async (t) => {
  const hooks = new Hooks(captureLog().logger, LIMITS)
  const seen: string[] = []
  hooks.on('gateway:started', () => seen.push('first'))
  hooks.on('gateway:*', ({ name }) => seen.push(`second ${name}`))
  hooks.on('*', ({ name }) => seen.push(`third ${name}`))
  hooks.emit({ name: 'gateway:started' })
  hooks.emit({ name: 'gateway:stopping', restart: false })
  t.same(seen, [
    'first',
    'second gateway:started',
    'third gateway:started',
    'second gateway:stopping',
    'third gateway:stopping',
  ])
})

t.test('hooks of a smaller priority run first, and one that was taken away no more', async (t) => {
  const hooks = new Hooks(captureLog().logger, LIMITS)
  const seen: string[] = []
  hooks.on('gateway:*', () => void seen.push('default'))
  hooks.on('gateway:*', () => void seen.push('late'), { priority: 101 })
  const remove = hooks.add({ ...PLAIN, priority: -5, run: () => void seen.push('first') })
  hooks.add({ ...PLAIN, enabled: false, run: () => void seen.push('disabled') })
  hooks.emit({ name: 'gateway:started' })
  remove()
  hooks.emit({ name: 'gateway:started' })
  t.same(seen, ['first', 'default', 'late', 'default', 'late'])
  t.match(
    hooks.list().map(({ priority, enabled, calls }) => [priority, enabled, calls]),
    [
      [100, true, 2],
      [100, false, 0],
      [101, true, 2],
    ],
  )
  t.match(hooks.totals().get('rule'), { called: 1 }, 'what it did still counts')
})

t.test('a slow hook is told of so many events at a time, keeps so many, and holds no other', async (t) => {
  const { logger, lines } = captureLog()
  const hooks = new Hooks(logger, LIMITS)
  const ends: (() => void)[] = []
  let quick = 0
  hooks.on('gateway:started', () => new Promise<void>((resolve) => ends.push(resolve)), { name: 'slow' })
  hooks.on('gateway:started', () => void quick++, { name: 'quick' })
  for (let i = 0; i < 10; i++) hooks.emit({ name: 'gateway:started' })
  t.equal(quick, 10)
  t.match(hooks.list()[0], { name: 'slow', calls: 2, waiting: 2, dropped: 6, failures: 0 })
  t.equal(lines.filter(({ hook, level }) => hook === 'slow' && level === 40).length, 1, 'logged once')
  while (ends.length > 0) {
    ends.shift()!()
    await new Promise(setImmediate)
  }
  t.match(hooks.list()[0], { calls: 4, waiting: 0, dropped: 6 })
})

t.test('a hook that does not end is left behind, and those that wait for it have their turn', async (t) => {
  const { logger, lines } = captureLog()
  const hooks = new Hooks(logger, { timeoutMs: 20, concurrency: 1, maxQueued: 10 })
  const signals: AbortSignal[] = []
  hooks.on('gateway:started', (_, { signal }) => {
    signals.push(signal)
    return new Promise(() => {})
  })
  for (let i = 0; i < 3; i++) hooks.emit({ name: 'gateway:started' })
  t.equal(signals.length, 1)
  // Its timers hold no process that has nothing else to do.
  const alive = setInterval(() => {}, 1_000)
  await until(() => hooks.list()[0]!.timeouts === 3)
  clearInterval(alive)
  t.same(
    signals.map(({ aborted }) => aborted),
    [true, true, true],
  )
  t.match(hooks.list()[0], { calls: 3, failures: 0, lastError: { message: /20 ms/ } })
  t.equal(lines.filter(({ msg }) => msg === 'hook did not end in time').length, 3)
  t.equal(hooks.timeouts, 0, 'no event was refused for it')
})

t.test('what a hook does to the event that it is told of changes nothing', async (t) => {
  const { connect, agent } = await startScripted(
    t,
    {},
    {
      prepare: (app) => {
        app.on('agent:started', (step) => {
          step.event.payload.content = 'mangled'
          ;(step.event as { sessionKey: string }).sessionKey = 'mangled'
        })
      },
    },
  )
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  const run = await agent.next()
  t.match(run.event, { sessionKey: KEY, payload: { content: 'x' } })
  run.reply('fine')
  await socket.call('agent.wait', { runId })
  t.match(
    (await socket.call('sessions.history', {}, KEY)).messages.map(
      ({ content }: { content: string }) => content,
    ),
    ['x', 'fine'],
  )
})

t.test('sessions and commands are told to hooks', async (t) => {
  const seen: unknown[] = []
  const { connect, agent } = await startScripted(
    t,
    {},
    {
      prepare: (app) => {
        app.on('session:*', (step) => {
          const { name, sessionKey, session, reason } = step as never as Record<string, unknown>
          seen.push([name, sessionKey, (session as { title: string } | undefined)?.title ?? reason ?? null])
        })
        app.on('command:*', (step) => {
          const { name, sessionKey, source } = step as never as Record<string, unknown>
          seen.push([name, sessionKey, source])
        })
      },
    },
  )
  const socket = await connect()
  await socket.call('sessions.create', { title: 'one' }, KEY)
  await socket.call('sessions.patch', { title: 'two' }, KEY)
  await socket.call('sessions.reset', {}, KEY)
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  await agent.next()
  await socket.call('agent.abort', {}, KEY)
  await socket.call('agent.wait', { runId })
  await socket.call('sessions.delete', {}, KEY)
  t.same(seen, [
    ['session:created', KEY, 'one'],
    ['session:updated', KEY, 'two'],
    ['session:reset', KEY, 'two'],
    ['command:reset', KEY, 'ws'],
    ['command:stop', KEY, 'ws'],
    ['session:ended', KEY, 'deleted'],
  ])
})

t.test('a message:received hook refuses: a GatewayError as it is, anything else as FORBIDDEN', async (t) => {
  const { logger, lines } = captureLog()
  const { connect, app } = await startScripted(
    t,
    {},
    {
      logger,
      prepare: (app) => {
        app.on('message:received', async ({ event, principal }) => {
          const { content } = event.payload
          if (content === 'limit') throw new GatewayError('RATE_LIMITED', 'Slowly.', { retryAfterMs: 5 })
          if (content === 'crash') throw new Error('an internal secret')
          if (content === 'name') throw new GatewayError('FORBIDDEN', `${principal.name} via ${event.source}`)
        })
      },
    },
  )
  const socket = await connect()
  const refused = (content: string) => socket.refused('sessions.send', { content }, KEY)
  t.match(await refused('limit'), {
    code: 'RATE_LIMITED',
    message: 'Slowly.',
    retryable: true,
    retryAfterMs: 5,
  })
  t.match(await refused('name'), { code: 'FORBIDDEN', message: 'anonymous via ws' })
  const crash = await refused('crash')
  t.match(crash, { code: 'FORBIDDEN', details: null })
  t.notMatch(JSON.stringify(crash), /secret/)
  t.ok(
    lines.some(({ err }) => (err as Error | undefined)?.message === 'an internal secret'),
    'the log has it',
  )
  t.match(await socket.refused('sessions.get', {}, KEY), { code: 'NOT_FOUND' }, 'nothing was stored')
  t.equal(app.lanes.dispatcher.size, 0)
  const { body } = await app.inject('/metrics')
  t.match(body, /gateway_events_refused_total\{reason="hook"\} 3/)
  t.match(body, /gateway_hook_failures_total 1/, 'a refusal is no failure of the hook, a crash is')
  await socket.call('sessions.send', { content: 'fine' }, KEY)
})

t.test(
  'what a hook makes of the payload is stored, shown and handled; the rest of the event is not its',
  async (t) => {
    const { connect, agent } = await startScripted(
      t,
      {},
      {
        prepare: (app) => {
          app.on('message:received', ({ event }) => {
            event.payload.content = String(event.payload.content).replace('secret', '***')
          })
          app.on('message:received', async ({ event }) => {
            event.payload = { ...event.payload, metadata: { seen: true, at: Math.random() } }
            Object.assign(event, {
              sessionKey: 'web:stolen',
              id: 'evt_x',
              type: 'system.event',
              priority: 'cron',
            })
          })
        },
      },
    )
    const socket = await connect()
    const params = { content: 'my secret', idempotencyKey: 'k' }
    const { eventId, runId, seq } = await socket.call('sessions.send', params, KEY)
    const expected = { content: 'my ***', metadata: { seen: true } }
    const { event } = await agent.next()
    t.match(event, {
      id: eventId,
      sessionKey: KEY,
      type: 'message.received',
      priority: 'chat',
      payload: expected,
    })
    t.match((await socket.event('session.message')).payload, expected)
    t.match((await socket.call('sessions.history', {}, KEY)).messages, [expected])
    t.same(
      await socket.call('sessions.send', params, KEY),
      { eventId, runId, seq, queued: 0, duplicate: true },
      'a repeated send is known by what was sent',
    )
  },
)

t.test('a hook cannot make of a message what is none', async (t) => {
  const { connect } = await startScripted(
    t,
    {},
    {
      prepare: (app) => {
        app.on('message:received', ({ event }) => {
          event.payload = { content: 5 }
        })
      },
    },
  )
  const socket = await connect()
  t.match(await socket.refused('sessions.send', { content: 'x' }, KEY), {
    code: 'INVALID_REQUEST',
    details: { path: 'payload.content' },
  })
})

t.test('however long a hook takes, a session keeps its order, and other sessions do not wait', async (t) => {
  const waiting = new Map<string, () => void>()
  const asked: string[] = []
  const { connect, agent, app } = await startScripted(
    t,
    {},
    {
      onRun: (run) => run.reply(),
      prepare: (app) => {
        app.on('message:received', ({ event }) => {
          const content = event.payload.content as string
          asked.push(content)
          if (content.startsWith('slow')) return new Promise<void>((resolve) => waiting.set(content, resolve))
        })
      },
    },
  )
  const socket = await connect()
  const sends = ['slow', 'quick', 'last'].map((content) => socket.call('sessions.send', { content }, KEY))
  await socket.call('sessions.send', { content: 'elsewhere', wait: true }, 'web:2:main')
  t.same(asked, ['slow', 'elsewhere'])
  t.match(await socket.call('lanes.get', {}, KEY), { waiting: 0, running: null })
  t.equal(app.lanes.dispatcher.pending, 3, 'their places are taken meanwhile')
  waiting.get('slow')!()
  const seqs = (await Promise.all(sends)).map(({ seq }) => seq)
  t.same(
    [...seqs].sort((a, b) => a - b),
    seqs,
  )
  await socket.all(4, ({ event }) => event === 'agent.completed')
  t.same(
    agent.contents.filter((content) => content !== 'elsewhere'),
    ['slow', 'quick', 'last'],
  )
})

t.test(
  'a hook that does not end in time has its event refused, and what it does later changes nothing',
  async (t) => {
    const { logger, lines } = captureLog()
    const late: (() => void)[] = []
    const asked: string[] = []
    const { connect, app, agent } = await startScripted(
      t,
      { hooks: { timeoutMs: 50 } },
      {
        logger,
        onRun: (run) => run.reply(),
        prepare: (app) => {
          app.on('message:received', async ({ event }) => {
            if (event.payload.content === 'fine') return
            await new Promise<void>((resolve) => late.push(resolve))
            event.payload.content = 'changed'
            if (late.length > 1) throw new Error('late')
          })
          app.on('message:received', ({ event }) => void asked.push(String(event.payload.content)))
        },
      },
    )
    const socket = await connect()
    const params = { content: 'held', idempotencyKey: 'k' }
    const sends = [
      socket.refused('sessions.send', params, KEY),
      socket.refused('sessions.send', { content: 'held as well' }, KEY),
      socket.call('sessions.send', { content: 'fine', wait: true }, KEY),
    ]
    for (const refused of (await Promise.all(sends)).slice(0, 2))
      t.match(refused, { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number })
    for (const end of late) end()
    await socket.call('gateway.ping')
    t.same(asked, ['fine'], 'the hooks after one that hangs are not asked')
    t.same(agent.contents, ['fine'], 'nothing of what was refused is stored')
    t.equal(app.lanes.dispatcher.pending, 0)
    const { body } = await app.inject('/metrics')
    t.match(body, /gateway_hook_timeouts_total 2/)
    t.match(body, /gateway_events_refused_total\{reason="hook"\} 2/)
    t.ok(lines.some(({ msg }) => msg === 'hook did not end in time'))
    late.length = 0
    const repeated = socket.request('sessions.send', params, KEY)
    while (late.length === 0) await new Promise(setImmediate)
    late[0]!()
    t.match(await repeated, { error: null }, 'the same send is taken once its hook answers')
  },
)

t.test('the steps of runs and sessions are told to hooks', async (t) => {
  const seen: unknown[] = []
  const { connect, agent, app } = await startScripted(
    t,
    { lanes: { retry: { attempts: 1 } } },
    {
      prepare: (app) => {
        app.on('agent:*', (step) => {
          const { name, ...given } = step as { name: string; event: { payload: { content: string } } }
          const { event, ...rest } = given
          seen.push([name, event.payload.content, rest])
        })
        app.on('session:created', ({ sessionKey }) => seen.push(['session:created', sessionKey]))
        app.on('gateway:*', ({ name }) => seen.push([name]))
      },
    },
  )
  const socket = await connect()
  const send = async (content: string) => socket.call('sessions.send', { content }, KEY)
  const first = await send('good')
  ;(await agent.next()).reply('answer')
  await socket.call('agent.wait', { runId: first.runId })
  const second = await send('bad')
  ;(await agent.next()).fail(new GatewayError('NOT_LINKED', 'no'))
  await socket.call('agent.wait', { runId: second.runId })
  const third = await send('stopped')
  await agent.next()
  await socket.call('agent.abort', { runId: third.runId })
  await app.close()
  const by = { agent: 'scripted' }
  t.same(seen, [
    ['gateway:started'],
    ['gateway:ready'],
    ['session:created', KEY],
    ['agent:started', 'good', { ...by, attempt: 1 }],
    ['agent:completed', 'good', { ...by, content: 'answer' }],
    ['agent:started', 'bad', { ...by, attempt: 1 }],
    ['agent:failed', 'bad', { ...by, code: 'NOT_LINKED' }],
    ['agent:started', 'stopped', { ...by, attempt: 1 }],
    ['agent:aborted', 'stopped', by],
    ['gateway:stopping'],
  ])
})

t.test('a hook that throws, rejects or never ends harms nothing and is counted', async (t) => {
  const { connect, agent, app } = await startScripted(
    t,
    {},
    {
      onRun: (run) => run.reply(),
      prepare: (app) => {
        app.on('agent:started', () => {
          throw new Error('thrown')
        })
        app.on('agent:started', () => Promise.reject(new Error('rejected')))
        app.on('agent:started', () => ({
          // biome-ignore lint/suspicious/noThenProperty: a hook may return a promise of another library
          then: (_: unknown, reject: (error: Error) => void) => reject(new Error('foreign')),
        }))
        app.on('agent:*', () => new Promise(() => {}))
        app.on('session:created', () => {
          throw null
        })
      },
    },
  )
  const socket = await connect()
  for (const content of ['a', 'b']) {
    const { outcome } = await socket.call('sessions.send', { content, wait: true }, KEY)
    t.match(outcome, { status: 'completed' })
  }
  t.equal(agent.runs.length, 2)
  t.match((await app.inject('/metrics')).body, /gateway_hook_failures_total 7/)
  await app.close()
})

t.test(
  'a stop waits for a slow hook to be told of everything, and counts what it has no time for',
  async (t) => {
    const held: (() => void)[] = []
    const told: string[] = []
    const { connect, app } = await startScripted(
      t,
      { hooks: { concurrency: 1 } },
      {
        prepare: (app) => {
          app.on('session:created', async ({ sessionKey }) => {
            await new Promise<void>((resolve) => held.push(resolve))
            told.push(sessionKey)
            held.pop()
          })
          app.on('session:created', () => new Promise(() => {}), { name: 'stuck' })
        },
      },
    )
    const socket = await connect()
    const keys = ['hooks:stop:1', 'hooks:stop:2', 'hooks:stop:3']
    for (const key of keys) await socket.call('sessions.create', {}, key)
    const closing = app.close()
    while (told.length < keys.length) {
      held.pop()?.()
      await new Promise(setImmediate)
    }
    await closing
    t.same(told, keys)
    t.equal(app.hooks.totals().get('plugin')?.dropped, 2)
  },
)

t.test('a hook that is taken away is told of nothing more, and what waited is counted', async (t) => {
  const held: (() => void)[] = []
  const { app } = await startScripted(t, { hooks: { concurrency: 1 } })
  const remove = app.hooks.add({
    name: 'slow',
    kind: 'rule',
    source: 'test',
    description: null,
    events: ['session:created'],
    priority: 0,
    enabled: true,
    run: () => new Promise<void>((resolve) => held.push(resolve)),
  })
  for (const key of ['hooks:away:1', 'hooks:away:2', 'hooks:away:3']) await app.sessions.create(key, {})
  remove()
  for (const release of held) release()
  await new Promise(setImmediate)
  t.equal(held.length, 1)
  t.match(app.hooks.totals().get('rule'), { called: 1, dropped: 2 })
})
