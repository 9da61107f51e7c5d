import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createNodeClient, type GatewayClient } from '../../src/client/node.js'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'

const TOKENS = { operator: 'operator-token-0123456789', worker: 'worker-token-0123456789' }

/** This file is compiled to dist/test/examples. */
const COMMANDS: Record<string, readonly [command: string, file: string]> = {
  typescript: [
    process.execPath,
    fileURLToPath(new URL('../../examples/worker-typescript/worker.js', import.meta.url)),
  ],
  python: ['python3', fileURLToPath(new URL('../../../examples/worker-python/worker.py', import.meta.url))],
}

const SESSIONS = 4

interface Working {
  readonly child: ChildProcess
  readonly exited: Promise<unknown[]>
  /** Resolves when it has said so; rejects when it ends before. */
  said(text: string): Promise<void>
}

function startWorker(t: Test, language: string, url: string): Working {
  const [command, file] = COMMANDS[language]!
  const env = { ...process.env, GATEWAY_URL: url, GATEWAY_TOKEN: TOKENS.worker, CREDIT: '2', WORD_MS: '20' }
  const child = spawn(command, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const said = async (text: string) => {
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the worker ended with ${child.exitCode}:\n${output}`)
      return output.includes(text)
    })
  }
  return { child, exited, said }
}

async function start(t: Test, home: string, port = '0'): Promise<GatewayProcess> {
  const env = {
    LURKBOT_GATEWAY__PORT: port,
    LURKBOT_GATEWAY__AGENTS: JSON.stringify({ helper: { type: 'worker' } }),
    LURKBOT_GATEWAY__DEFAULT_AGENT: 'helper',
    LURKBOT_GATEWAY__AUTH__TOKENS: JSON.stringify([
      { name: 'operator', token: TOKENS.operator, role: 'operator' },
      { name: 'worker', token: TOKENS.worker, role: 'agent' },
    ]),
  }
  const gateway = await startGateway({ home, env })
  t.teardown(() => gateway.kill9())
  return gateway
}

function connect(t: Test, url: string): GatewayClient {
  const client = createNodeClient({
    url,
    token: TOKENS.operator,
    client: { id: 'test', version: '1', platform: 'node', mode: 'cli' },
    reconnect: { minMs: 10, maxMs: 100 },
  })
  t.teardown(() => client.close())
  return client
}

const key = (session: number) => `web:${session}:main`
const content = (session: number, message: number) =>
  `message ${message} of session ${session} says hello again`

/** So many messages to each session, in turn. */
async function sendAll(client: GatewayClient, messages: readonly number[]): Promise<void> {
  for (const message of messages) {
    for (let session = 0; session < SESSIONS; session++) {
      const params = { content: content(session, message), idempotencyKey: `${session}-${message}` }
      await client.request('sessions.send', params, { sessionKey: key(session) })
    }
  }
}

/** What the answers say, by session, in order. */
async function answers(client: GatewayClient): Promise<string[][]> {
  const bySession = []
  for (let session = 0; session < SESSIONS; session++) {
    const { messages } = (await client.request('sessions.history', {}, { sessionKey: key(session) })) as {
      messages: { role: string; content: string }[]
    }
    bySession.push(messages.filter(({ role }) => role === 'assistant').map((message) => message.content))
  }
  return bySession
}

const expected = (messages: readonly number[]) =>
  Array.from({ length: SESSIONS }, (_, session) => messages.map((message) => content(session, message)))

for (const language of Object.keys(COMMANDS)) {
  t.test(`${language}: whoever is killed in the middle, each event ends once and in order`, async (t) => {
    const { home, remove } = temporaryHome()
    t.teardown(remove)
    const gateway = await start(t, home)
    const workers = [
      startWorker(t, language, gateway.wsUrl),
      startWorker(t, language, gateway.wsUrl),
    ] as const
    await Promise.all(workers.map(({ said }) => said('takes runs')))
    const client = connect(t, gateway.wsUrl)
    await client.connect()
    const completed: string[] = []
    const started = new Map<string, number>()
    client.on('agent.completed', ({ payload: { runId } }) => completed.push(runId))
    client.on('agent.started', ({ payload: { runId } }) => started.set(runId, (started.get(runId) ?? 0) + 1))
    let deltas = 0
    client.on('agent.delta', () => deltas++)

    await sendAll(client, [0, 1])
    await until(() => deltas > 8 && completed.length > 0)
    workers[0].child.kill('SIGKILL')
    await until(() => completed.length >= 2 * SESSIONS)
    t.same(
      await answers(client),
      expected([0, 1]),
      'another worker has taken the runs of the one that was killed',
    )
    t.ok(
      [...started.values()].some((times) => times > 1),
      'it had some of them',
    )

    const before = deltas
    await sendAll(client, [2])
    await until(() => deltas > before)
    await gateway.kill9()
    await start(t, home, new URL(gateway.url).port)
    await until(() => completed.length >= 3 * SESSIONS)
    t.same(await answers(client), expected([0, 1, 2]), 'the worker has come back to the gateway')

    const said = deltas
    const params = { content: 'the last words', wait: true }
    const last = client.request('sessions.send', params, { sessionKey: key(0) })
    await until(() => deltas > said)
    workers[1].child.kill('SIGTERM')
    t.match(await last, { outcome: { status: 'completed', message: { content: 'the last words' } } })
    t.same(await workers[1].exited, [0, null], 'it ends when it has finished')
    t.equal(new Set(completed).size, 3 * SESSIONS + 1)
    t.equal(completed.length, 3 * SESSIONS + 1, 'each run has ended once')
  })
}
