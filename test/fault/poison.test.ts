import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'

const KEY = 'web:1:main'

const AGENT = `
export default async function (event) {
  if (event.payload.content === 'poison') process.abort()
  return 're: ' + event.payload.content
}`

t.test(
  'an event that kills the process with each try becomes a dead letter, and its lane goes on',
  async (t) => {
    const { home, remove } = temporaryHome()
    t.teardown(remove)
    const path = join(home, 'agent.mjs')
    writeFileSync(path, AGENT)
    const env = {
      LURKBOT_GATEWAY__AGENTS: JSON.stringify({ fatal: { type: 'module', path } }),
      LURKBOT_GATEWAY__DEFAULT_AGENT: 'fatal',
      LURKBOT_GATEWAY__LANES__MAX_CRASHES: '2',
    }
    const first = await startGateway({ home, env })
    const sender = await connect(first)
    // Paused, both are on the disk before the first of them can do harm.
    await sender.call('sessions.create', {}, KEY)
    await sender.call('lanes.pause', {}, KEY)
    const poison = await sender.call('sessions.send', { content: 'poison' }, KEY)
    const after = await sender.call('sessions.send', { content: 'after' }, KEY)
    sender.call('lanes.resume', {}, KEY).catch(() => {})
    t.equal((await first.exited).signal, 'SIGABRT')

    await t.rejects(startAndDie(), /SIGABRT/, 'the second time, too')

    const third = await startGateway({ home, env })
    t.teardown(() => third.stop())
    const socket = await connect(third)
    t.match(await socket.call('agent.wait', { runId: after.runId }), {
      status: 'completed',
      message: { content: 're: after' },
    })
    const outcome = await socket.call('agent.wait', { runId: poison.runId })
    t.match(outcome, { status: 'failed', error: { code: 'INTERNAL_ERROR', message: /died 2 times/ } })
    const { deadLetters } = await socket.call('deadLetters.list', {})
    t.match(deadLetters, [{ event: { id: poison.eventId }, error: { message: /died 2 times/ } }])

    async function connect(gateway: GatewayProcess): Promise<TestSocket> {
      const socket = new TestSocket(gateway.wsUrl)
      t.teardown(() => socket.terminate())
      await socket.opened
      await socket.hello()
      return socket
    }

    /** It may die before it is ready, or right after. */
    async function startAndDie(): Promise<void> {
      const gateway = await startGateway({ home, env })
      const { signal } = await gateway.exited
      throw new Error(`ended with ${signal}`)
    }
  },
)
