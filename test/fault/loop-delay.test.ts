import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { startGateway } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

/** Computes for a while without letting anything else happen. */
const AGENT = `
export default function (event) {
  for (const end = performance.now() + 1500; performance.now() < end; );
  return 'done'
}
`

t.test(
  'an agent that blocks the event loop makes it not ready, until it is over; it lives all the time',
  async (t) => {
    const home = await temporaryFolder(t)
    await writeFile(join(home, 'agent.mjs'), AGENT)
    const config = {
      defaultAgent: 'blocks',
      agents: { blocks: { type: 'module', path: './agent.mjs' } },
      overload: { maxLoopDelayMs: 1_000, loopDelayWindowMs: 4_000 },
    }
    await writeFile(join(home, 'config.json'), JSON.stringify(config))
    const gateway = await startGateway({ home })
    t.teardown(() => gateway.kill9())
    const socket = await TestSocket.greeted(t, gateway.wsUrl)
    const status = async (path: string) => (await fetch(gateway.url + path)).status
    await until(async () => (await status('/health/ready')) === 200)

    await socket.call('sessions.send', { content: 'block' }, 'a:1')
    // The outcome is told once a busy disk has it: the windows are longer than that may take.
    // Asked while the loop stands still, or just before or after: answered in the turns around it.
    const [live, completed] = await Promise.all([status('/health/live'), socket.event('agent.completed')])
    t.equal(live, 200)
    t.ok(completed)
    t.equal(await status('/health/ready'), 503)
    const report = await (await fetch(`${gateway.url}/health`)).json()
    t.match(report, { status: 'failing', checks: { eventLoop: { message: /^blocked for \d{4,} ms/ } } })
    t.equal(await status('/health/live'), 200)

    await until(async () => (await status('/health/ready')) === 200)
    t.match(await socket.call('gateway.health'), { checks: { eventLoop: { status: 'ok' } } })
    const { code } = await gateway.stop()
    t.equal(code, 0)
  },
)
