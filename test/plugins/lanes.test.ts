import t from 'tap'
import { startApp } from '../helpers/app.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

t.test('an idle gateway stops at once, however long the drain may take', async (t) => {
  const { app, connect } = await startApp(t, { shutdown: { drainTimeoutMs: 3_600_000 } })
  const socket = await connect()
  await socket.call('sessions.send', { content: 'x', wait: true }, 'web:1')
  await app.close()
  t.match(await socket.closed, { code: 1001 })
})

t.test('the framework gives a drain its whole time', async (t) => {
  const limitOf = async (drainTimeoutMs: number) =>
    (await startApp(t, { shutdown: { drainTimeoutMs } })).app.initialConfig.pluginTimeout!
  t.ok((await limitOf(30_000)) > 31_000)
  t.ok((await limitOf(120_000)) > 121_000)
  t.equal(await limitOf(2_147_483_647), 2_147_483_647, 'within what a timer can wait')
})

t.test('closing twice, or while it drains, is fine', async (t) => {
  const { app, connect, agent } = await startScripted(t)
  const socket = await connect()
  await socket.call('sessions.send', { content: 'x' }, 'web:1')
  await agent.next()
  await Promise.all([app.close(), app.close()])
  await app.close()
  await app.lanes.drain(0, 0)
})

t.test('lanes are measured', async (t) => {
  const { app, connect, agent } = await startScripted(t, { lanes: { capacity: 2 } })
  const socket = await connect()
  for (let i = 0; i < 4; i++) await socket.request('sessions.send', { content: 'x' }, 'web:1')
  await agent.next()
  const metric = async (name: string) => {
    const { body } = await app.inject('/metrics')
    return body
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.split(' ')[1]
  }
  t.equal(await metric('gateway_active_lanes'), '1')
  t.equal(await metric('gateway_runs_active'), '1')
  t.equal(await metric('gateway_lane_events_pending'), '3')
  t.equal(await metric('gateway_lane_depth_max'), '2')
  t.equal(await metric('gateway_lane_refusals_total{reason="lane_full"}'), '1')
  t.equal(await metric('gateway_events_total{type="message.received",source="ws"}'), '3')
  agent.onRun = (run) => run.reply()
  agent.runs[0]!.reply()
  await socket.all(3, ({ event }) => event === 'agent.completed')
  t.equal(await metric('gateway_active_lanes'), '0')
  t.equal(await metric('gateway_lane_bytes_pending'), '0')
  t.equal(await metric('gateway_run_duration_seconds_count{agent_type="scripted",outcome="completed"}'), '3')
  t.equal(await metric('gateway_lane_wait_seconds_count'), '3')
})

t.test('what waits and what runs longest at this moment is measured, paused lanes aside', async (t) => {
  const { app, connect, agent } = await startScripted(t)
  const socket = await connect()
  const metric = async (name: string) => {
    const { body } = await app.inject('/metrics')
    return Number(new RegExp(`^${name} (.+)$`, 'm').exec(body)![1])
  }
  t.equal(await metric('gateway_lane_oldest_wait_seconds'), 0)
  t.equal(await metric('gateway_run_oldest_seconds'), 0)
  const before = Date.now()
  for (let i = 0; i < 2; i++) await socket.call('sessions.send', { content: 'x' }, 'web:1')
  const run = await agent.next()
  await until(async () => (await metric('gateway_lane_oldest_wait_seconds')) > 0)
  await until(async () => (await metric('gateway_run_oldest_seconds')) > 0)
  for (const name of ['gateway_lane_oldest_wait_seconds', 'gateway_run_oldest_seconds']) {
    const seconds = await metric(name)
    t.ok(seconds <= (Date.now() - before) / 1_000 + 0.01, `${name}: ${seconds}`)
  }
  await socket.call('lanes.pause', {}, 'web:1')
  t.equal(await metric('gateway_lane_oldest_wait_seconds'), 0, 'it waits because somebody wants it to')
  run.reply()
  await socket.event('agent.completed')
  t.equal(await metric('gateway_run_oldest_seconds'), 0)
})
