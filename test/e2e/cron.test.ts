import t, { type Test } from 'tap'
import { runCli, type StartOptions, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'

const SECOND = 1_000

function starter(t: Test) {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  return async (options: StartOptions = {}) => {
    const gateway = await startGateway({ home, ...options })
    t.teardown(() => gateway.kill9())
    return gateway
  }
}

t.test('each time of a job makes one event, however often the gateway is killed', async (t) => {
  const start = starter(t)
  let gateway = await start()
  let socket = await TestSocket.greeted(t, gateway.wsUrl)
  const { job } = await socket.call(
    'cron.add',
    {
      name: 'tick',
      schedule: { everyMs: SECOND },
      payload: { kind: 'agentTurn', message: 'tick' },
      misfire: 'all',
      overlap: 'queue',
    },
    'web:1:main',
  )
  for (let life = 0; life < 2; life++) {
    // In the moment at which it tells of a run, or of its end, it may be anywhere.
    await socket.event(life % 2 === 0 ? 'cron.fired' : 'cron.finished')
    await gateway.kill9()
    gateway = await start()
    socket = await TestSocket.greeted(t, gateway.wsUrl)
    t.match(socket.helloOk!.snapshot.cronJobs, [{ jobId: job.jobId, name: 'tick', enabled: true }])
  }
  await socket.event('cron.fired')
  await socket.call('cron.update', { jobId: job.jobId, enabled: false })
  const { runs } = await settled(socket, job.jobId)
  const dues = runs.map(({ dueAt }: { dueAt: number }) => (dueAt - job.createdAt) / SECOND).reverse()
  t.ok(dues.length >= 3)
  t.same(
    dues,
    dues.map((_: number, i: number) => i + 1),
    'none is missing, none is double',
  )
  t.ok(runs.every(({ status }: { status: string }) => status === 'completed'))
  const { messages } = await socket.call('sessions.history', { limit: 500 }, 'web:1:main')
  const asked = messages.filter(({ role }: { role: string }) => role === 'user')
  t.same(
    asked.map(({ metadata }: Frame) => (metadata.cron.dueAt - job.createdAt) / SECOND),
    dues,
  )
  t.equal(messages.length, 2 * dues.length, 'each has its answer')
})

/** The runs of a job once all have ended. */
async function settled(socket: TestSocket, jobId: string): Promise<Frame> {
  for (;;) {
    const result = await socket.call('cron.runs', { jobId, limit: 500 })
    const open = result.runs.find(({ status }: { status: string }) => status === 'queued')
    if (open === undefined) return result
    await socket.event('cron.finished', ({ payload }) => payload.run.cronRunId === open.cronRunId)
  }
}

t.test('a job of the command line is there after a stop and a start, with its runs', async (t) => {
  const start = starter(t)
  const gateway = await start()
  const { home } = gateway
  const call = async (method: string, params: object, ...rest: string[]) => {
    const args = ['gateway', 'call', method, JSON.stringify(params), ...rest]
    const { code, stdout, stderr } = await runCli(args, { home })
    t.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  const at = new Date(Date.now() + 3_600 * SECOND).toISOString()
  const payload = { kind: 'agentTurn', message: 'remember' }
  const { job } = await call('cron.add', { schedule: { at }, payload }, '--session', 'web:1:main')
  const { run } = await call('cron.run', { jobId: job.jobId })
  t.match(run, { trigger: 'manual', jobId: job.jobId })
  await gateway.stop()
  const again = await start()
  const socket = await TestSocket.greeted(t, again.wsUrl)
  t.match(socket.helloOk!.snapshot.cronJobs, [{ jobId: job.jobId, nextRunAt: Date.parse(at), running: 0 }])
  const { runs } = await socket.call('cron.runs', { jobId: job.jobId })
  t.match(runs, [{ cronRunId: run.cronRunId, status: 'completed' }])
  t.match((await socket.call('cron.list')).jobs, [{ jobId: job.jobId, lastRun: { status: 'completed' } }])
  t.match(await again.stop(), { code: 0 })
})
