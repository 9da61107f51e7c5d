import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'

const KEY = 'web:1:main'

const AGENT = `
export default async function (event) {
  if (event.payload.content === 'poison') process.abort()
  return 're: ' + event.payload.content
}`

/** A gateway that a message has killed, with another one behind it. */
async function poisoned(t: Test, lanes: NodeJS.ProcessEnv) {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const path = join(home, 'agent.mjs')
  writeFileSync(path, AGENT)
  const env = {
    LURKBOT_GATEWAY__AGENTS: JSON.stringify({ fatal: { type: 'module', path } }),
    LURKBOT_GATEWAY__DEFAULT_AGENT: 'fatal',
    ...lanes,
  }
  const first = await startGateway({ home, env })
  const sender = await TestSocket.greeted(t, first.wsUrl)
  // Paused, both are on the disk before the first of them can do harm.
  await sender.call('sessions.create', {}, KEY)
  await sender.call('lanes.pause', {}, KEY)
  const poison = await sender.call('sessions.send', { content: 'poison' }, KEY)
  const after = await sender.call('sessions.send', { content: 'after' }, KEY)
  sender.call('lanes.resume', {}, KEY).catch(() => {})
  t.equal((await first.exited).signal, 'SIGABRT')

  const start = async () => {
    const gateway = await startGateway({ home, env })
    t.teardown(() => gateway.stop())
    return await TestSocket.greeted(t, gateway.wsUrl)
  }
  /** It may die before it is ready, or right after. */
  const startAndDie = async () => {
    const gateway = await startGateway({ home, env })
    const { signal } = await gateway.exited
    throw new Error(`ended with ${signal}`)
  }
  return { poison, after, start, startAndDie }
}

t.test(
  'an event that kills the process with each try becomes a dead letter, and its lane goes on',
  async (t) => {
    const { poison, after, start, startAndDie } = await poisoned(t, {
      LURKBOT_GATEWAY__LANES__MAX_CRASHES: '2',
    })
    await t.rejects(startAndDie(), /SIGABRT/, 'the second time, too')
    const socket = await start()
    t.match(await socket.call('agent.wait', { runId: after.runId }), {
      status: 'completed',
      message: { content: 're: after' },
    })
    const outcome = await socket.call('agent.wait', { runId: poison.runId })
    t.match(outcome, { status: 'failed', error: { code: 'INTERNAL_ERROR', message: /died 2 times/ } })
    const { deadLetters } = await socket.call('deadLetters.list', {})
    t.match(deadLetters, [{ event: { id: poison.eventId }, error: { message: /died 2 times/ } }])
  },
)

t.test('from the third death on it waits as it is told to, and can be stopped', async (t) => {
  const { poison, after, start, startAndDie } = await poisoned(t, {
    LURKBOT_GATEWAY__LANES__CRASH_BACKOFF_MS: '3600000',
    LURKBOT_GATEWAY__LANES__MAX_CRASH_BACKOFF_MS: '3600000',
  })
  for (const time of ['second', 'third']) await t.rejects(startAndDie(), /SIGABRT/, `the ${time} time, too`)
  const socket = await start()
  const other = await socket.call('sessions.send', { content: 'other' }, 'web:2:main')
  t.match(await socket.call('agent.wait', { runId: other.runId }), { status: 'completed' })
  t.match(await socket.call('lanes.get', {}, KEY), { running: null, waiting: 2 })
  t.same(await socket.call('agent.abort', { runId: poison.runId }), { aborted: [poison.runId] })
  t.match(await socket.call('agent.wait', { runId: after.runId }), { message: { content: 're: after' } })
})
