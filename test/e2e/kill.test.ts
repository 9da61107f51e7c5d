import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { type GatewayProcess, type StartOptions, startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'

/** Answers after a moment, and writes down what it was given: a witness outside the journal. */
const AGENT = `
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
export default async function (event, context) {
  appendFileSync(new URL('./witness.log', import.meta.url), event.sessionKey + ' ' + event.payload.content + '\\n')
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

const SESSIONS = ['a:1:main', 'b:2:main', 'c:3:main', 'd:4:main', 'e:5:main', 'f:6:main']
const isDurable = (frame: Frame) => frame.seq !== undefined

t.test('killed in the middle of full lanes: what was acknowledged is answered once, in order', async (t) => {
  const { home, start, connect } = await harness(t)
  const first = await start()
  const sender = await connect(first)
  const acknowledged = await Promise.all(
    SESSIONS.flatMap((key) =>
      Array.from({ length: 25 }, async (_, i) => ({
        key,
        content: `m${i}`,
        ...(await sender.call('sessions.send', { content: `m${i}` }, key)),
      })),
    ),
  )
  await sender.all(10, (frame) => frame.event === 'agent.completed')
  await first.kill9()
  const before = sender.frames.filter((frame) => frame.event === 'agent.completed').length
  t.ok(
    before < acknowledged.length,
    `killed with ${acknowledged.length - before} of ${acknowledged.length} unanswered`,
  )

  const second = await start()
  const socket = await connect(second)
  await idle(socket)
  for (const key of SESSIONS) {
    const sent = acknowledged.filter((event) => event.key === key).sort((a, b) => a.seq - b.seq)
    const messages = await history(socket, key)
    const asked = messages.filter((message) => message.role === 'user').map((message) => message.content)
    const answered = messages
      .filter((message) => message.role === 'assistant')
      .map((message) => message.content)
    t.same(
      asked,
      sent.map((event) => event.content),
      `${key}: every message is there, in order`,
    )
    t.same(
      answered,
      sent.map((event) => `answer to ${event.content}`),
      `${key}: each is answered once, in order`,
    )
  }
  const witness = (await readFile(join(home, 'witness.log'), 'utf8')).trim().split('\n')
  for (const key of SESSIONS) {
    const given = witness.filter((line) => line.startsWith(`${key} `))
    t.same(
      [...new Set(given)],
      Array.from({ length: 25 }, (_, i) => `${key} m${i}`),
      `${key}: the agent saw them in order`,
    )
    t.ok(given.length <= 26, 'at most the one that ran was handled again')
  }
})

t.test(
  'killed again and again while a client sends: with idempotency keys each message is handled once',
  async (t) => {
    const { start, connect } = await harness(t)
    const keys = SESSIONS.slice(0, 3)
    const total = 60
    const open = new Map(keys.map((key) => [key, 0]))
    let gateway = await start({ env: { AGENT_MS: '1' } })
    for (let round = 0; round < 5; round++) {
      const socket = await connect(gateway)
      const upTo = ((round + 1) * total) / 5
      // One after the other in each session, as a person would; the kill meets them anywhere.
      const sending = keys.map(async (key) => {
        for (let i = open.get(key)!; i < upTo; i++) {
          await socket.call('sessions.send', { content: `m${i}`, idempotencyKey: `k${i}` }, key)
          open.set(key, i + 1)
        }
      })
      const settled = Promise.allSettled(sending)
      await socket.all(8 + round, (frame) => frame.event === 'session.message')
      if (round === 4) await settled
      await gateway.kill9()
      await settled
      gateway = await start({ env: { AGENT_MS: '1' } })
    }
    const socket = await connect(gateway)
    await idle(socket)
    for (const key of keys) {
      const messages = await history(socket, key)
      const expected = Array.from({ length: total }, (_, i) => `m${i}`)
      t.same(
        messages.filter(({ role }) => role === 'user').map(({ content }) => content),
        expected,
      )
      t.same(
        messages.filter(({ role }) => role === 'assistant').map(({ content }) => content),
        expected.map((content) => `answer to ${content}`),
      )
    }
  },
)

t.test('a client that resumes after a kill sees every durable event once, in order', async (t) => {
  const { start, connect } = await harness(t)
  const first = await start()
  const watcher = await connect(first)
  const sender = await connect(first)
  for (let i = 0; i < 30; i++) await sender.call('sessions.send', { content: `m${i}` }, SESSIONS[i % 3])
  await watcher.all(5, (frame) => frame.event === 'agent.completed')
  await first.kill9()
  await watcher.closed
  const seen = watcher.frames.filter(isDurable)
  const { epoch } = watcher.helloOk!.resume

  const second = await start()
  const back = await connect(second, { resume: { epoch, seq: seen.at(-1)!.seq } })
  t.equal(back.helloOk!.resume.recovered, true)
  await idle(back)
  const fresh = await connect(second, { resume: { epoch, seq: 0 } })
  const { seq: head } = await fresh.call('gateway.info')
  await fresh.next((frame) => frame.seq === head)
  await back.next((frame) => frame.seq === head)
  const together = [...seen, ...back.frames.filter(isDurable)]
  t.same(
    together.map(({ seq, id }) => [seq, id]),
    fresh.frames.filter(isDurable).map(({ seq, id }) => [seq, id]),
  )
})

t.test(
  'SIGTERM: what runs may end, what waits continues after the start, and clients are told',
  async (t) => {
    const { start, connect } = await harness(t)
    const first = await start({ env: { AGENT_MS: '300' } })
    const socket = await connect(first)
    for (let i = 0; i < 4; i++) await socket.call('sessions.send', { content: `m${i}` }, SESSIONS[0])
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
    const answers = (await history(back, SESSIONS[0]!)).filter(({ role }) => role === 'assistant')
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
  await socket.call('sessions.send', { content: 'long' }, SESSIONS[0])
  await socket.event('agent.started')
  t.same(await first.stop(), { code: 0, signal: null })

  const second = await start({ env: { AGENT_MS: '1' } })
  const back = await connect(second)
  await idle(back)
  const messages = await history(back, SESSIONS[0]!)
  t.same(
    messages.map(({ content }) => content),
    ['long', 'answer to long'],
  )
})

t.test('a second signal exits at once', async (t) => {
  const { start, connect } = await harness(t)
  const gateway = await start({ env: { AGENT_MS: '600000' } })
  const socket = await connect(gateway)
  await socket.call('sessions.send', { content: 'endless' }, SESSIONS[0])
  await socket.event('agent.started')
  gateway.signal('SIGTERM')
  await socket.event('gateway.shutdown')
  // A second one within the same moment counts as the first (a terminal and npm both send it).
  const again = setInterval(() => gateway.signal('SIGTERM'), 100)
  t.teardown(() => clearInterval(again))
  const { code } = await gateway.exited
  t.not(code, 0)
})
