import t from 'tap'
import { ANONYMOUS, createPrincipal } from '../../src/auth/principal.js'
import { GatewayError } from '../../src/protocol/index.js'
import { EVERY_MINUTE, startScheduled, TURN } from '../helpers/scheduler.js'
import { until } from '../helpers/until.js'

const NOON = '2026-06-01T12:00:00Z'
const noon = Date.parse(NOON)

t.test('a job runs at its times, as a turn of the conversation', async (t) => {
  const { clock, add, agent, socket, runsOf, fired, finished, jobs } = await startScheduled(t, NOON)
  const job = await add({ name: 'tick', schedule: EVERY_MINUTE, payload: TURN })
  t.match(job, {
    name: 'tick',
    sessionKey: 'web:1:main',
    nextRunAt: noon + 60_000,
    lastRun: null,
    running: 0,
  })
  t.match(job.schedule, { everyMs: 60_000, anchor: noon })
  await socket.event('cron.added', ({ payload }) => payload.job.jobId === job.jobId)
  clock.pass(59_999)
  t.same(agent.runs, [])
  clock.pass(1)
  const run = await agent.next()
  t.match(run.event, {
    type: 'message.received',
    source: 'cron',
    priority: 'cron',
    sessionKey: 'web:1:main',
    payload: { content: 'work', sender: 'cron', cron: { jobId: job.jobId, name: 'tick' } },
    idempotencyKey: `gateway:cron:${job.jobId}:${noon + 60_000}`,
  })
  const { runId, id: eventId } = run.event
  const [first] = await fired(1)
  t.match(first, { sessionKey: 'web:1:main', payload: { nextRunAt: noon + 120_000 } })
  t.match(first!.payload.run, { trigger: 'schedule', status: 'queued', runId, eventId, dueAt: noon + 60_000 })
  t.match(jobs(), [{ running: 1, lastRun: { status: 'queued' } }])
  run.reply('done')
  const [end] = await finished(1)
  t.match(end!.payload.run, { status: 'completed', runId, error: null, reason: null })
  t.same(await runsOf(job.jobId), [end!.payload.run])
  t.match(jobs(), [{ running: 0, lastRun: { status: 'completed' }, nextRunAt: noon + 120_000 }])
  const roles = socket.events().filter(({ event }) => event === 'session.message')
  t.match(
    roles.map(({ payload }) => [payload.role, payload.content, payload.metadata?.cron?.name]),
    [
      ['user', 'work', 'tick'],
      ['assistant', 'done', undefined],
    ],
  )
  clock.until(noon + 120_000)
  t.equal((await agent.next()).event.payload.content, 'work')
})

t.test('a system event becomes part of the conversation', async (t) => {
  const { clock, add, agent, socket, finished } = await startScheduled(t, NOON)
  const payload = { kind: 'systemEvent', text: 'the night begins' } as const
  await add({ schedule: { at: noon + 1_000 }, payload })
  clock.pass(1_000)
  const run = await agent.next()
  t.match(run.event, { type: 'system.event', payload: { text: 'the night begins' }, priority: 'cron' })
  t.equal(run.content, undefined)
  run.reply('')
  t.match(await finished(1), [{ payload: { run: { status: 'completed' } } }])
  const { messages } = await socket.call('sessions.history', {}, 'web:1:main')
  t.match(messages, [{ role: 'system', content: 'the night begins' }])
  t.equal(messages.length, 1)
})

t.test('the answer is said on the channel, at the peer, of a run that answers', async (t) => {
  const { clock, add, agent, channel, finished } = await startScheduled(t, NOON)
  const deliver = { channel: 'chat', peer: '42' }
  const job = await add({ schedule: EVERY_MINUTE, payload: { ...TURN, deliver } }, null)
  t.equal(job.sessionKey, 'chat:42:main', 'its session is that of the conversation')
  clock.pass(60_000)
  const first = await agent.next()
  first.reply('good morning')
  await channel.took(1)
  t.match(channel.sent, [
    { text: 'good morning', target: { peer: '42', thread: null }, runId: first.event.runId },
  ])
  await finished(1)
  clock.pass(60_000)
  ;(await agent.next()).fail(new GatewayError('NOT_LINKED', 'no'))
  t.match(await finished(2), [{}, { payload: { run: { status: 'failed', error: { code: 'NOT_LINKED' } } } }])
  t.equal(channel.asked.length, 1, 'a failure is not told')
  const here = await add({ schedule: EVERY_MINUTE, payload: { ...TURN, deliver: {} } }, 'chat:7:t1')
  t.same(here.payload.deliver, { channel: 'chat', peer: '7', thread: 't1' })
  await t.rejects(
    add({ schedule: EVERY_MINUTE, payload: { ...TURN, deliver: { channel: 'x', peer: '1' } } }),
    {
      code: 'NOT_LINKED',
    },
  )
})

t.test('the agent that it asks for serves it', async (t) => {
  const { clock, add, agent, finished } = await startScheduled(t, NOON)
  await t.rejects(add({ schedule: EVERY_MINUTE, payload: { ...TURN, agent: 'nobody' } }), {
    code: 'NOT_FOUND',
  })
  await add({ schedule: EVERY_MINUTE, payload: { ...TURN, agent: 'echo' } })
  clock.pass(60_000)
  t.match(await finished(1), [{ payload: { run: { status: 'completed' } } }])
  t.same(agent.runs, [])
})

t.test('a job with one time has no other one, and removes itself where it is to', async (t) => {
  const { clock, add, agent, socket, finished, jobs, runsOf } = await startScheduled(t, NOON)
  const at = '2026-06-01T14:00:05+02:00'
  const stays = await add({ name: 'stays', schedule: { at }, payload: TURN }, 'web:1')
  const goes = await add({ name: 'goes', schedule: { at }, payload: TURN, deleteAfterRun: true }, 'web:2')
  const fails = await add({ name: 'fails', schedule: { at }, payload: TURN, deleteAfterRun: true }, 'web:3')
  clock.pass(5_000)
  await agent.begun(3)
  for (const run of agent.runs) {
    if (run.event.sessionKey === 'web:3') run.fail(new GatewayError('NOT_LINKED', 'no'))
    else run.reply()
  }
  await finished(3)
  t.match(await socket.event('cron.removed'), {
    payload: { jobId: goes.jobId, name: 'goes', reason: 'done' },
  })
  t.match(
    jobs().map(({ jobId, nextRunAt, lastRun }) => [jobId, nextRunAt, lastRun?.status]),
    [
      [stays.jobId, null, 'completed'],
      [fails.jobId, null, 'failed'],
    ],
  )
  t.match(await runsOf(goes.jobId), [{ status: 'completed' }], 'its run is remembered')
  await add({ name: 'goes', schedule: EVERY_MINUTE, payload: TURN })
})

t.test('a lane that is full puts a job off, and nothing is lost', async (t) => {
  const { clock, add, agent, socket, fired, connect } = await startScheduled(
    t,
    NOON,
    {},
    { lanes: { capacity: 1 } },
  )
  const sender = await connect({ subscribe: [] })
  await sender.call('sessions.send', { content: 'running' }, 'web:1:main')
  const running = await agent.next()
  await sender.call('sessions.send', { content: 'waiting' }, 'web:1:main')
  await add({ schedule: { at: noon + 1_000 }, payload: TURN })
  clock.pass(1_000)
  await until(() => clock.timers === 1)
  running.reply()
  ;(await agent.next()).reply()
  clock.pass(60_000)
  t.equal((await agent.next()).content, 'work')
  t.match(await fired(1), [{ payload: { run: { dueAt: noon + 1_000 } } }])
  t.notOk(socket.events().some(({ event }) => event === 'cron.finished'))
})

t.test('an event that is refused for good is a run that failed', async (t) => {
  const { app, clock, add, agent, finished, jobs } = await startScheduled(
    t,
    NOON,
    {},
    {},
    {
      prepare: () => {},
    },
  )
  app.hooks.on('message:received', () => {
    throw new GatewayError('FORBIDDEN', 'not on mondays')
  })
  await add({ schedule: EVERY_MINUTE, payload: TURN })
  clock.pass(60_000)
  const [end] = await finished(1)
  t.match(end!.payload.run, { status: 'failed', runId: null, error: { code: 'FORBIDDEN' } })
  t.match(jobs(), [{ running: 0, lastRun: { status: 'failed' }, nextRunAt: noon + 120_000 }])
  t.same(agent.runs, [])
})

t.test('a job runs now, enabled or not, and keeps its times', async (t) => {
  const { scheduler, clock, add, agent, finished, jobs } = await startScheduled(t, NOON, { maxQueued: 2 })
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN, enabled: false })
  const run = await scheduler.run(ANONYMOUS, jobId)
  t.match(run, { trigger: 'manual', status: 'queued', dueAt: noon })
  await scheduler.run(ANONYMOUS, jobId)
  await t.rejects(scheduler.run(ANONYMOUS, jobId), { code: 'UNAVAILABLE' })
  t.match(jobs(), [{ enabled: false, nextRunAt: null, running: 2 }])
  ;(await agent.next()).reply()
  ;(await agent.next()).reply()
  t.match(await finished(2), [{ payload: { run: { status: 'completed', trigger: 'manual' } } }])
  clock.pass(10 * 60_000)
  t.equal(agent.runs.length, 2, 'its times do not count')
  await scheduler.update(ANONYMOUS, { jobId, enabled: true })
  t.match(jobs(), [{ enabled: true, nextRunAt: noon + 11 * 60_000 }])
  clock.pass(60_000)
  await agent.next()
})

t.test('a run goes on though its job is removed', async (t) => {
  const { scheduler, add, agent, finished, runsOf } = await startScheduled(t, NOON)
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
  await scheduler.run(ANONYMOUS, jobId)
  await scheduler.remove(ANONYMOUS, jobId)
  ;(await agent.next()).reply()
  t.match(await finished(1), [{ payload: { run: { jobId, status: 'completed' } } }])
  t.match(await runsOf(jobId), [{ status: 'completed' }])
})

t.test('a change holds from then on', async (t) => {
  const { scheduler, clock, add, agent, socket, jobs } = await startScheduled(t, NOON)
  const { jobId } = await add({ name: 'one', schedule: EVERY_MINUTE, payload: TURN })
  await add({ name: 'two', schedule: EVERY_MINUTE, payload: TURN, enabled: false })
  clock.pass(30_000)
  const odd = { jobId, sessionKey: 'web:other', owner: 'other', runs: 7, nextRunAt: 1 }
  t.match(await scheduler.update(ANONYMOUS, odd), { sessionKey: 'web:1:main', nextRunAt: noon + 60_000 })
  const cron = { cron: '0 18 * * *', timeZone: 'Europe/Berlin' }
  const message = 'other work'
  const payload = { ...TURN, message }
  const job = await scheduler.update(ANONYMOUS, { jobId, name: 'three', schedule: cron, payload })
  t.match(job, { name: 'three', schedule: cron, nextRunAt: Date.parse('2026-06-01T16:00:00Z') })
  await socket.event('cron.updated', (frame) => frame.payload.job.name === 'three')
  await t.rejects(scheduler.update(ANONYMOUS, { jobId, name: 'two' }), { code: 'CONFLICT' })
  await t.rejects(add({ name: 'three', schedule: EVERY_MINUTE, payload: TURN }), { code: 'CONFLICT' })
  await add({ name: 'one', schedule: EVERY_MINUTE, payload: TURN, enabled: false })
  clock.until('2026-06-01T16:00:00Z')
  t.equal((await agent.next()).content, message)
  await scheduler.update(ANONYMOUS, { jobId, name: null })
  t.match(jobs()[0], { name: null, nextRunAt: Date.parse('2026-06-02T16:00:00Z') })
  await scheduler.remove(ANONYMOUS, jobId)
  t.match(await socket.event('cron.removed'), { payload: { jobId, reason: 'removed' } })
  await t.rejects(scheduler.run(ANONYMOUS, jobId), { code: 'NOT_FOUND' })
})

t.test('only so many runs of a job are remembered', async (t) => {
  const { clock, scheduler, add, agent, runsOf } = await startScheduled(t, NOON, { maxRunsKept: 3 })
  agent.onRun = (run) => run.reply()
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
  for (let run = 1; run <= 6; run++) {
    clock.pass(60_000)
    await until(async () => (await runsOf(jobId))[0]?.dueAt === noon + run * 60_000)
    await until(async () => (await runsOf(jobId))[0]?.status === 'completed')
  }
  const runs = await runsOf(jobId)
  t.same(
    runs.map(({ dueAt }) => (dueAt - noon) / 60_000),
    [6, 5, 4],
  )
  const page = await scheduler.runs(ANONYMOUS, { jobId, limit: 2 })
  t.same(page.runs, runs.slice(0, 2))
  const rest = await scheduler.runs(ANONYMOUS, { jobId, limit: 2, cursor: page.nextCursor! })
  t.same(rest, { runs: runs.slice(2), nextCursor: null })
})

t.test('who is confined to some sessions sees, makes and touches the jobs of those', async (t) => {
  const { scheduler, add, clock, agent } = await startScheduled(t, NOON)
  const confined = createPrincipal({
    name: 'confined',
    role: 'operator',
    scopes: ['read', 'write'],
    sessions: ['web:mine:*'],
  })
  const theirs = await add({ schedule: EVERY_MINUTE, payload: TURN }, 'web:theirs:main')
  const params = { schedule: EVERY_MINUTE, payload: TURN }
  const mine = await scheduler.add(confined, 'web:mine:main', params)
  t.equal(mine.owner, 'confined')
  await t.rejects(scheduler.add(confined, null, params), { code: 'FORBIDDEN' }, 'a session of its own')
  const away = { ...TURN, deliver: { channel: 'chat', peer: '1' } }
  await t.rejects(scheduler.add(confined, 'web:mine:main', { ...params, payload: away }), {
    code: 'FORBIDDEN',
  })
  t.same(
    scheduler.list(confined, null, {}).jobs.map(({ jobId }) => jobId),
    [mine.jobId],
  )
  t.same(
    (JSON.parse(scheduler.snapshot(confined)) as { jobId: string }[]).map(({ jobId }) => jobId),
    [mine.jobId],
  )
  const { jobId } = theirs
  await t.rejects(scheduler.update(confined, { jobId, enabled: false }), { code: 'NOT_FOUND' })
  await t.rejects(scheduler.remove(confined, jobId), { code: 'NOT_FOUND' })
  await t.rejects(scheduler.run(confined, jobId), { code: 'NOT_FOUND' })
  await scheduler.run(ANONYMOUS, jobId)
  await agent.next()
  await t.rejects(scheduler.runs(confined, { jobId }), { code: 'NOT_FOUND' })
  const delivering = await add({ schedule: EVERY_MINUTE, payload: away }, 'web:mine:main')
  await t.rejects(scheduler.update(confined, { jobId: delivering.jobId, enabled: false }), {
    code: 'FORBIDDEN',
  })
  clock.pass(0)
})

t.test('the list goes on where its page ended', async (t) => {
  const { scheduler, add } = await startScheduled(t, NOON)
  for (let i = 0; i < 5; i++)
    await add({ name: `${i}`, schedule: EVERY_MINUTE, payload: TURN, enabled: i > 0 })
  await add({ name: 'other', schedule: EVERY_MINUTE, payload: TURN }, 'web:2')
  const names = (page: ReturnType<typeof scheduler.list>) => page.jobs.map(({ name }) => name).join()
  const first = scheduler.list(ANONYMOUS, 'web:1:main', { limit: 3 })
  t.equal(names(first), '0,1,2')
  const second = scheduler.list(ANONYMOUS, 'web:1:main', { limit: 3, cursor: first.nextCursor! })
  t.equal(names(second), '3,4')
  t.equal(second.nextCursor, null)
  t.equal(names(scheduler.list(ANONYMOUS, null, { enabled: false })), '0')
  t.equal(names(scheduler.list(ANONYMOUS, null, {})), '0,1,2,3,4,other')
})
