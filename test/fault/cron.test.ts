import t, { type Test } from 'tap'
import { type StartOptions, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { type Death, dying } from './deaths.js'

const KEY = 'web:1:main'

/** The writes are the job, its event, that it was fired, the outcome, that its run has ended, and that it is done. */
const DEATHS: readonly Death[] = [
  ['batch.committed', 1],
  ['batch.committed', 2],
  ['batch.begun', 3],
  ['batch.committed', 3],
  ['batch.committed', 5],
]

async function live(t: Test, options: StartOptions) {
  const gateway = await startGateway(options)
  t.teardown(() => gateway.kill9())
  const socket = await TestSocket.greeted(t, gateway.wsUrl)
  return { gateway, socket }
}

for (const death of DEATHS) {
  t.test(`a job that runs once has run once, whatever it dies of (${death.join(' ')})`, async (t) => {
    const { home, remove } = temporaryHome()
    t.teardown(remove)
    const first = await live(t, { home, ...dying(death) })
    const params = {
      schedule: { at: Date.now() + 300 },
      payload: { kind: 'agentTurn', message: 'now' },
      deleteAfterRun: true,
    }
    const isAdded = await first.socket.call('cron.add', params, KEY).then(
      () => true,
      () => false,
    )
    // Writes that come together are one batch: then it outlives the last of these deaths.
    const isOver = first.socket.event('cron.removed').catch(() => {})
    await Promise.race([first.gateway.exited, isOver])
    await first.gateway.kill9()
    const { socket } = await live(t, { home })
    const { jobs } = await socket.call('cron.list')
    if (jobs.length > 0) await socket.event('cron.removed')
    const { result } = await socket.request('sessions.history', {}, KEY)
    const said = (result?.messages ?? []).map(({ role }: Frame) => role)
    if (isAdded || said.length > 0) t.same(said, ['user', 'assistant'])
    else t.same(jobs, [], 'it was not there, and nobody was told that it was')
  })
}
