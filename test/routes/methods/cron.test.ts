import t from 'tap'
import { startWithChannel } from '../../helpers/channel-app.js'
import { startScripted } from '../../helpers/scripted-agent.js'
import type { Frame } from '../../helpers/socket.js'

const KEY = 'web:1:main'
const schedule = { everyMs: 3_600_000 }
const payload = { kind: 'agentTurn', message: 'work' }

const secret = (name: string) => ({ token: `${name}-token-0123456789` })
const auth = {
  enabled: true,
  tokens: [
    { name: 'admin', ...secret('admin') },
    { name: 'viewer', ...secret('viewer'), role: 'viewer' as const, sessions: ['web:1:*'] },
    { name: 'other', ...secret('other'), sessions: ['web:2:*'] },
    { name: 'agent', ...secret('agent'), role: 'agent' as const },
  ],
}

t.test('a job is added, seen, run, changed and removed over a socket', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  t.same(socket.helloOk!.snapshot.cronJobs, [])
  const { job } = await socket.call('cron.add', { name: 'n', schedule, payload }, KEY)
  t.match(job, {
    name: 'n',
    sessionKey: KEY,
    enabled: true,
    misfire: 'once',
    overlap: 'skip',
    owner: 'anonymous',
  })
  const { jobId } = job
  const own = (await socket.call('cron.add', { schedule, payload, enabled: false })).job
  t.equal(own.sessionKey, `cron:${own.jobId}:main`)
  t.same((await socket.call('cron.list')).jobs, [job, own])
  t.same((await socket.call('cron.list', {}, KEY)).jobs, [job])
  const { run } = await socket.call('cron.run', { jobId })
  ;(await agent.next()).reply('done')
  const outcome = await socket.call('agent.wait', { runId: run.runId })
  t.match(outcome, { status: 'completed', message: { content: 'done' } })
  const { payload: end } = await socket.event('cron.finished')
  t.same((await socket.call('cron.runs', { jobId })).runs, [end.run])
  t.match((await socket.call('cron.update', { jobId, enabled: false })).job, {
    enabled: false,
    nextRunAt: null,
  })
  t.same(await socket.call('cron.remove', { jobId }), { removed: true })
  for (const method of ['cron.update', 'cron.remove', 'cron.run']) {
    t.match(await socket.refused(method, { jobId }), { code: 'NOT_FOUND', details: { jobId } }, method)
  }
  t.equal((await socket.call('cron.runs', { jobId })).runs.length, 1)
  t.match(await socket.refused('cron.runs', { jobId: 'job_x' }), { code: 'NOT_FOUND' })
  const names = socket.events().map(({ event }) => event)
  t.same(
    names.filter((name) => name.startsWith('cron.')),
    ['cron.added', 'cron.added', 'cron.fired', 'cron.finished', 'cron.updated', 'cron.removed'],
  )
  const { snapshot } = (await connect()).helloOk!
  const { nextRunAt, lastRun, running, sessionKey, name, enabled } = own
  t.same(snapshot.cronJobs, [
    { jobId: own.jobId, name, sessionKey, schedule: own.schedule, enabled, nextRunAt, lastRun, running },
  ])
})

t.test('of a job only those hear and see something who may see its session', async (t) => {
  const { connect, agent } = await startScripted(t, { auth })
  const admin = await connect({ auth: secret('admin') })
  const viewer = await connect({ auth: secret('viewer') })
  const other = await connect({ auth: secret('other') })
  const { job } = await admin.call('cron.add', { schedule, payload }, KEY)
  const { jobId } = job
  await admin.call('cron.run', { jobId })
  ;(await agent.next()).reply()
  await viewer.event('cron.finished')
  await admin.call('cron.update', { jobId, enabled: false })
  await admin.call('cron.remove', { jobId })
  await viewer.event('cron.removed')
  const mine = (await other.call('cron.add', { schedule, payload }, 'web:2:main')).job
  await other.event('cron.added')
  const heard = (frames: Frame[]) => frames.filter(({ event }) => event?.startsWith('cron.'))
  t.same(
    heard(other.events()).map(({ payload }) => payload.job.jobId),
    [mine.jobId],
  )
  t.same((await viewer.call('cron.list')).jobs, [])
  t.same((await connect({ auth: secret('viewer') })).helloOk!.snapshot.cronJobs, [])
  t.same((await connect({ auth: secret('agent') })).helloOk!.snapshot.cronJobs, [])
  t.match((await connect({ auth: secret('other') })).helloOk!.snapshot.cronJobs, [{ jobId: mine.jobId }])
  for (const key of ['web:1:main', 'web:3:main']) {
    t.match(await other.refused('cron.add', { schedule, payload }, key), { code: 'FORBIDDEN' }, key)
  }
  t.match(await other.refused('cron.list', {}, KEY), { code: 'FORBIDDEN' })
  t.match(await viewer.refused('cron.add', { schedule, payload }, KEY), { code: 'FORBIDDEN' })
})

t.test('what a client publishes is never taken for a scheduled event', async (t) => {
  const { connect, agent, channel } = await startWithChannel(t)
  const socket = await connect()
  const deliver = { channel: 'chat', peer: '1', thread: null }
  const cron = { jobId: 'job_x', name: null, dueAt: 0, agent: 'echo', deliver }
  const event = { type: 'message.received', payload: { content: 'x', cron } }
  t.match(await socket.refused('events.publish', { ...event, source: 'cron' }, KEY), {
    code: 'INVALID_REQUEST',
  })
  const { runId } = await socket.call('events.publish', event, KEY)
  ;(await agent.next()).reply('answer')
  await socket.call('agent.wait', { runId })
  t.same(channel.asked, [])
})

t.test('jobs and their runs are counted', async (t) => {
  const { connect, agent, url } = await startScripted(t)
  const socket = await connect()
  const { job } = await socket.call('cron.add', { schedule, payload }, KEY)
  await socket.call('cron.run', { jobId: job.jobId })
  const metrics = async () => (await fetch(new URL('/metrics', url))).text()
  t.match(await metrics(), /^gateway_cron_jobs 1$[\s\S]*^gateway_cron_runs_active 1$/m)
  ;(await agent.next()).reply()
  await socket.event('cron.finished')
  t.match(await metrics(), /^gateway_cron_runs_total\{outcome="completed"\} 1$/m)
})
