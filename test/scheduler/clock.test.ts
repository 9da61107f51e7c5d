import t from 'tap'
import { startScheduled, TURN } from '../helpers/scheduler.js'
import { until } from '../helpers/until.js'

const NOON = '2026-06-01T12:00:00Z'
const HOUR = 3_600_000
const noon = Date.parse(NOON)

t.test('a clock that is set, either way, is noticed, and no time runs twice', async (t) => {
  const { clock, add, agent, fired, jobs, runsOf } = await startScheduled(t, NOON)
  agent.onRun = (run) => run.reply()
  const { jobId } = await add({ schedule: { cron: '0 * * * *', timeZone: 'UTC' }, payload: TURN })
  clock.set('2030-01-01T00:30:00Z')
  clock.pass(30_000)
  await fired(1)
  t.match(jobs(), [{ nextRunAt: Date.parse('2030-01-01T01:00:00Z') }])
  clock.set('2026-06-01T12:10:00Z')
  clock.pass(30_000)
  await until(() => jobs()[0]!.nextRunAt === Date.parse('2026-06-01T13:00:00Z'))
  clock.until('2026-06-01T13:00:00Z')
  await fired(2)
  clock.set('2026-06-01T12:59:00Z')
  clock.pass(30_000)
  await until(() => jobs()[0]!.nextRunAt === Date.parse('2026-06-01T13:00:00Z'))
  clock.until('2026-06-01T13:00:00Z')
  await until(() => jobs()[0]!.nextRunAt === Date.parse('2026-06-01T14:00:00Z'))
  t.equal((await runsOf(jobId)).length, 2)
  t.equal(agent.runs.length, 2)
})

t.test('a clock that was ahead before a restart leaves no job waiting for its years', async (t) => {
  const { clock, add, jobs, restart } = await startScheduled(t, '2030-01-01T00:00:00Z')
  await add({ schedule: { cron: '0 * * * *', timeZone: 'UTC' }, payload: TURN })
  clock.set(NOON)
  await restart()
  t.match(jobs(), [{ nextRunAt: noon + HOUR }])
})

t.test('hundreds of jobs have one timer, and all of them run', async (t) => {
  const { clock, add, agent, jobs, finished } = await startScheduled(t, NOON, { maxJobs: 500 })
  agent.onRun = (run) => run.reply()
  const schedule = { cron: '*/5 * * * *', timeZone: 'Europe/Berlin' }
  await Promise.all(Array.from({ length: 500 }, (_, i) => add({ schedule, payload: TURN }, `web:${i}`)))
  await t.rejects(add({ schedule, payload: TURN }), { code: 'UNAVAILABLE', retryable: false })
  t.equal(clock.timers, 1)
  clock.pass(5 * 60_000)
  await until(() => {
    clock.pass(0)
    return jobs().every(({ lastRun }) => lastRun !== null)
  })
  await until(() => {
    clock.pass(0)
    return agent.runs.length === 500
  })
  t.equal((await finished(500)).length, 500)
  t.equal(clock.timers, 1)
})

t.test('a job by the wall clock runs each day, over changes of clocks and a restart at each', async (t) => {
  for (const [timeZone, cron, day, ...wanted] of [
    ['Europe/Berlin', '30 2 * * *', '2026-03-28T12:00Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z'],
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00Z', '2026-11-01T05:30Z', '2026-11-02T06:30Z'],
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-02T22:00Z', '2026-10-03T15:30Z', '2026-10-04T15:15Z'],
  ] as const) {
    const { clock, add, agent, restart, fired } = await startScheduled(t, day)
    agent.onRun = (run) => run.reply()
    await add({ schedule: { cron, timeZone }, payload: TURN })
    for (const [i, dueAt] of wanted.entries()) {
      clock.until(Date.parse(dueAt) - 1)
      await restart()
      t.equal(agent.runs.length, i)
      clock.pass(1)
      const run = (await fired(i + 1))[i]!.payload.run
      t.equal(new Date(run.dueAt).toISOString(), dueAt.replace('Z', ':00.000Z'), `${cron} in ${timeZone}`)
    }
  }
})
