import t from 'tap'
import { ANONYMOUS } from '../../src/auth/principal.js'
import type { Journal } from '../../src/journal/journal.js'
import { GatewayError } from '../../src/protocol/index.js'
import { EVERY_MINUTE, startScheduled, TURN } from '../helpers/scheduler.js'
import { until } from '../helpers/until.js'

const NOON = '2026-06-01T12:00:00Z'
const HOUR = 3_600_000
const noon = Date.parse(NOON)

t.test('after a downtime what was missed is made up for as the job says', async (t) => {
  const { clock, add, agent, fired, finished, stop, start, runsOf } = await startScheduled(t, NOON)
  const hourly = { everyMs: HOUR }
  const add3 = async (misfire: 'skip' | 'once' | 'all') =>
    (await add({ schedule: hourly, payload: TURN, misfire }, `web:${misfire}`)).jobId
  const [skip, once, all] = [await add3('skip'), await add3('once'), await add3('all')]
  agent.onRun = (run) => run.reply()
  await stop()
  clock.pass(13.5 * HOUR)
  await start()
  clock.pass(0)
  await fired(11)
  const times = async (jobId: string) =>
    (await runsOf(jobId))
      .map(({ dueAt, trigger, reason }) => [(dueAt - noon) / HOUR, trigger, reason])
      .reverse()
  await finished(13)
  t.same(await times(skip), [[1, 'missed', 'missed']])
  t.same(await times(once), [[13, 'missed', null]])
  t.same(await times(all), [
    [1, 'missed', 'missed'],
    ...Array.from({ length: 10 }, (_, i) => [i + 4, 'missed', null]),
  ])
  clock.until(noon + 14 * HOUR)
  await fired(14)
  for (const jobId of [skip, once, all]) t.same((await times(jobId)).at(-1), [14, 'schedule', null])
})

t.test('a start within the grace is in time', async (t) => {
  const { clock, add, agent, stop, start, fired } = await startScheduled(t, NOON)
  await add({ schedule: { everyMs: HOUR }, payload: TURN, misfire: 'skip' })
  await stop()
  clock.pass(HOUR + 30_000)
  await start()
  clock.pass(0)
  await agent.next()
  t.match(await fired(1), [{ payload: { run: { trigger: 'schedule', dueAt: noon + HOUR } } }])
})

t.test('a run that goes on over a restart is followed to its end', async (t) => {
  const { clock, add, agent, restart, fired, finished, jobs } = await startScheduled(t, NOON)
  await add({ schedule: { at: noon + 1_000 }, payload: TURN, deleteAfterRun: true })
  clock.pass(1_000)
  await fired(1)
  const run = await agent.next()
  await restart()
  t.match(jobs(), [{ running: 1 }])
  run.reply()
  t.match(await finished(1), [{ payload: { run: { status: 'completed' } } }])
  await until(() => jobs().length === 0)
})

t.test('one that ended while nobody looked is found ended', async (t) => {
  const { app, clock, add, agent, stop, start, fired, finished } = await startScheduled(t, NOON)
  await add({ schedule: EVERY_MINUTE, payload: TURN })
  clock.pass(60_000)
  await fired(1)
  await stop()
  const run = await agent.next()
  run.reply()
  const { runId } = run.event
  await app.outcomes.wait(runId, new AbortController().signal, () => true)
  await start()
  t.match(await finished(1), [{ payload: { run: { status: 'completed', runId } } }])
})

/** Its documents can only be written while `isFull` says no. */
function full(journal: Journal, isFull: () => boolean): Journal {
  return new Proxy(journal, {
    get(target, name) {
      if (name === 'saveDocuments' && isFull()) {
        return async () => {
          throw new GatewayError('UNAVAILABLE', 'disk full')
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

t.test(
  'a disk that fills up between the event and the word of it holds nothing up and doubles nothing',
  async (t) => {
    const { app, clock, add, agent, restart, useJournal, fired, finished, runsOf, current } =
      await startScheduled(t, NOON)
    const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
    let isFull = true
    useJournal(full(app.journal, () => isFull))
    await restart()
    clock.pass(60_000)
    const run = await agent.next()
    run.reply()
    await until(() => clock.timers === 1)
    await t.rejects(current().update(ANONYMOUS, { jobId, enabled: false }), { code: 'UNAVAILABLE' })
    isFull = false
    clock.pass(1_000)
    t.match(await fired(1), [{ payload: { run: { runId: run.event.runId, dueAt: noon + 60_000 } } }])
    await finished(1)
    t.match(await runsOf(jobId), [{ status: 'completed' }])
    t.equal(agent.runs.length, 1)
  },
)

for (const misfire of ['skip', 'once', 'all'] as const) {
  t.test(`a death between the event and the word of it doubles nothing (${misfire})`, async (t) => {
    const running = await startScheduled(t, NOON)
    const { app, clock, add, agent, stop, start, useJournal, fired, finished, runsOf } = running
    const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN, misfire, overlap: 'queue' })
    await stop()
    useJournal(full(app.journal, () => true))
    await start()
    clock.pass(60_000)
    const run = await agent.next()
    await stop()
    t.same(await runsOf(jobId), [], 'nobody knows of it')
    useJournal(app.journal)
    clock.pass(600_000)
    await start()
    clock.pass(0)
    const [first] = await fired(1)
    t.match(first!.payload.run, { runId: run.event.runId, dueAt: noon + 60_000 })
    agent.onRun = (later) => later.reply()
    run.reply()
    await finished({ skip: 2, once: 2, all: 11 }[misfire])
    const dues = agent.runs.map(({ event }) => event.idempotencyKey)
    t.equal(new Set(dues).size, dues.length)
  })
}

t.test('nothing begins while the gateway stops', async (t) => {
  const { clock, scheduler, add, agent, stop } = await startScheduled(t, NOON)
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
  await stop()
  clock.pass(600_000)
  await t.rejects(scheduler.run(ANONYMOUS, jobId), { code: 'UNAVAILABLE' })
  t.same(agent.runs, [])
  t.equal(clock.timers, 0)
})

t.test('a run that is forgotten keeps its job from nothing', async (t) => {
  const { app, clock, add, agent, stop, start, fired, jobs } = await startScheduled(t, NOON)
  await add({ schedule: EVERY_MINUTE, payload: TURN })
  clock.pass(60_000)
  const [first] = await fired(1)
  await stop()
  await app.journal.removeDocument('scheduleRun', first!.payload.run.cronRunId)
  await start()
  t.match(jobs(), [{ running: 0 }])
  clock.pass(60_000)
  await fired(2)
  ;(await agent.next()).reply()
  ;(await agent.next()).reply()
})

t.test('a run by hand right after a start does not hide what became of the last time', async (t) => {
  const running = await startScheduled(t, NOON)
  const { app, clock, add, agent, stop, start, useJournal, fired, current } = running
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
  useJournal(full(app.journal, () => true))
  await stop()
  await start()
  clock.pass(60_000)
  ;(await agent.next()).reply()
  await stop()
  useJournal(app.journal)
  clock.pass(90_000)
  await start()
  await current().run(ANONYMOUS, jobId)
  clock.pass(0)
  const runs = (await fired(2)).map(({ payload }) => payload.run)
  t.match(
    runs.map(({ trigger, dueAt }) => [trigger, (dueAt - noon) / 60_000]),
    [
      ['manual', 2.5],
      ['schedule', 1],
    ],
  )
  ;(await agent.next()).reply()
})
