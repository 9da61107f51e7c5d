import t from 'tap'
import { EVERY_MINUTE, startScheduled, TURN } from '../helpers/scheduler.js'
import { until } from '../helpers/until.js'

const NOON = '2026-06-01T12:00:00Z'
const noon = Date.parse(NOON)

t.test('a time that comes while the run before goes on is left out, told once and counted', async (t) => {
  const { clock, add, agent, fired, finished, runsOf } = await startScheduled(t, NOON)
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN })
  clock.pass(60_000)
  const run = await agent.next()
  await fired(1)
  for (let skipped = 1; skipped <= 3; skipped++) {
    clock.pass(60_000)
    await until(async () => (await runsOf(jobId))[0]?.skipped === skipped)
  }
  const [skip, first, ...others] = await runsOf(jobId)
  t.match(skip, { status: 'skipped', reason: 'overlap', dueAt: noon + 120_000, runId: null, skipped: 3 })
  t.match(first, { status: 'queued' })
  t.same(others, [])
  t.equal((await finished(1)).length, 1)
  run.reply()
  t.match((await finished(2))[1], { payload: { run: { status: 'completed', cronRunId: first!.cronRunId } } })
  clock.pass(60_000)
  await agent.next()
})

t.test('or it waits, as long as not too many do', async (t) => {
  const { clock, add, agent, fired, finished, runsOf } = await startScheduled(t, NOON, { maxQueued: 2 })
  const { jobId } = await add({ schedule: EVERY_MINUTE, payload: TURN, overlap: 'queue' })
  clock.pass(60_000)
  await fired(1)
  clock.pass(60_000)
  await fired(2)
  clock.pass(60_000)
  t.match(await finished(1), [{ payload: { run: { status: 'skipped', reason: 'queue_full' } } }])
  ;(await agent.next()).reply()
  ;(await agent.next()).reply()
  await finished(3)
  t.same(
    (await runsOf(jobId)).map(({ status }) => status),
    ['skipped', 'completed', 'completed'],
  )
})

t.test('or it takes the place of that run', async (t) => {
  const { clock, add, agent, fired, finished } = await startScheduled(t, NOON)
  await add({ schedule: EVERY_MINUTE, payload: TURN, overlap: 'replace' })
  clock.pass(60_000)
  await fired(1)
  const first = await agent.next()
  clock.pass(60_000)
  await fired(2)
  t.ok(first.context.signal.aborted)
  t.match(await finished(1), [{ payload: { run: { status: 'aborted', dueAt: noon + 60_000 } } }])
  ;(await agent.next()).reply()
  t.match((await finished(2))[1], { payload: { run: { status: 'completed', dueAt: noon + 120_000 } } })
})
