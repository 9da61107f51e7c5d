import t from 'tap'
import type { Failpoint } from '../../src/failpoint.js'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { dying } from './deaths.js'

const KEY = 'web:1:main'

/** What is written: the job, its event, that it was fired, the outcome, that it has finished, and that the job is done. */
const WRITES = 6

async function life(options: Parameters<typeof startGateway>[0]) {
  const gateway = await startGateway(options)
  const socket = new TestSocket(gateway.wsUrl)
  await socket.opened
  await socket.hello()
  return { gateway, socket }
}

async function dieAt(t: Tap, point: Failpoint, hit: number): Promise<void> {
  const { home, remove } = temporaryHome()
  const name = `${point} ${hit}`
  const first = await life({ home, ...dying([point, hit]) })
  const params = {
    schedule: { at: Date.now() + 300 },
    payload: { kind: 'agentTurn', message: name },
    deleteAfterRun: true,
  }
  const added = first.socket.call('cron.add', params, KEY).catch(() => null)
  t.match(await first.gateway.exited, { signal: 'SIGKILL' }, name)
  const isAdded = (await added) !== null
  const { gateway, socket } = await life({ home })
  const { jobs } = await socket.call('cron.list')
  if (isAdded && jobs.length > 0) await socket.event('cron.removed')
  const { messages } = await socket.call('sessions.history', {}, KEY).catch(() => ({ messages: [] }))
  const said = messages.map(({ role, content }: Frame) => [role, content])
  const wanted = [
    ['user', name],
    ['assistant', name],
  ]
  t.same(said, isAdded || said.length > 0 ? wanted : [], `${name}: once, if it was added at all`)
  socket.terminate()
  await gateway.kill9()
  remove()
}

type Tap = typeof t

for (const point of ['batch.begun', 'batch.committed'] as const) {
  t.test(`killed at any write of a job that runs once, it has run once (${point})`, async (t) => {
    for (let hit = 1; hit <= WRITES; hit++) await dieAt(t as Tap, point, hit)
  })
}
