import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { type GatewayProcess, type StartOptions, startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'

/** Answers after a moment. */
const AGENT = `
import { setTimeout as delay } from 'node:timers/promises'
export default async function (event, context) {
  await delay(Number(process.env.AGENT_MS ?? 5), undefined, { signal: context.signal })
  return 'answer to ' + event.payload.content
}
`

interface Harness {
  readonly home: string
  start(options?: StartOptions): Promise<GatewayProcess>
  connect(gateway: GatewayProcess, hello?: Record<string, unknown>): Promise<TestSocket>
}

async function harness(t: Test): Promise<Harness> {
  const home = await temporaryFolder(t)
  await writeFile(join(home, 'agent.mjs'), AGENT)
  const config = {
    defaultAgent: 'slow',
    agents: { slow: { type: 'module', path: './agent.mjs' } },
    lanes: { concurrency: 4 },
  }
  await writeFile(join(home, 'config.json'), JSON.stringify(config))
  return {
    home,
    start: async (options = {}) => {
      const gateway = await startGateway({ home, ...options })
      t.teardown(() => gateway.kill9())
      return gateway
    },
    connect: async (gateway, hello = {}) => {
      const socket = new TestSocket(gateway.wsUrl)
      t.teardown(() => socket.terminate())
      await socket.opened
      await socket.hello(hello)
      return socket
    },
  }
}

/** Waits until nothing waits or runs; told by events, asked for once more after each. */
async function idle(socket: TestSocket): Promise<void> {
  for (;;) {
    const seen = socket.frames.length
    const { lanes } = await socket.call('gateway.info')
    if (lanes.pending === 0) return
    await socket.next((frame) => frame.event === 'agent.completed', seen)
  }
}

async function history(socket: TestSocket, key: string): Promise<Frame[]> {
  const { messages, nextCursor } = await socket.call('sessions.history', { limit: 500 }, key)
  if (nextCursor !== null) throw new Error('expected one page')
  return messages
}

const SESSION = 'a:1:main'

t.test(
  'SIGTERM: what runs may end, what waits continues after the start, and clients are told',
  async (t) => {
    const { start, connect } = await harness(t)
    const first = await start({ env: { AGENT_MS: '300' } })
    const socket = await connect(first)
    for (let i = 0; i < 4; i++) await socket.call('sessions.send', { content: `m${i}` }, SESSION)
    const exited = first.stop()
    await socket.event('gateway.shutdown')
    t.same(await exited, { code: 0, signal: null })
    t.equal((await socket.closed).code, 1001)
    t.equal(
      socket.frames.filter((frame) => frame.event === 'agent.completed').length,
      1,
      'the running one ended',
    )

    const second = await start({ env: { AGENT_MS: '1' } })
    const back = await connect(second)
    await idle(back)
    const answers = (await history(back, SESSION)).filter(({ role }) => role === 'assistant')
    t.same(
      answers.map(({ content }) => content),
      ['m0', 'm1', 'm2', 'm3'].map((content) => `answer to ${content}`),
    )
  },
)

t.test('a run that outlives the drain bound is aborted, kept, and runs again', async (t) => {
  const { start, connect } = await harness(t)
  const env = { LURKBOT_GATEWAY__SHUTDOWN__DRAIN_TIMEOUT_MS: '50' }
  const first = await start({ env: { ...env, AGENT_MS: '600000' } })
  const socket = await connect(first)
  await socket.call('sessions.send', { content: 'long' }, SESSION)
  await socket.event('agent.started')
  t.same(await first.stop(), { code: 0, signal: null })

  const second = await start({ env: { AGENT_MS: '1' } })
  const back = await connect(second)
  await idle(back)
  const messages = await history(back, SESSION)
  t.same(
    messages.map(({ content }) => content),
    ['long', 'answer to long'],
  )
})

t.test('a second signal exits at once', async (t) => {
  const { start, connect } = await harness(t)
  const gateway = await start({ env: { AGENT_MS: '600000' } })
  const socket = await connect(gateway)
  await socket.call('sessions.send', { content: 'endless' }, SESSION)
  await socket.event('agent.started')
  gateway.signal('SIGTERM')
  await socket.event('gateway.shutdown')
  // A second one within the same moment counts as the first (a terminal and npm both send it).
  const again = setInterval(() => gateway.signal('SIGTERM'), 100)
  t.teardown(() => clearInterval(again))
  const { code } = await gateway.exited
  t.not(code, 0)
})
