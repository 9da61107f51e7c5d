import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createNodeClient, type GatewayClient, type NodeClientOptions } from '../../src/client/node.js'
import type { EventFrame } from '../../src/protocol/index.js'
import {
  type GatewayProcess,
  type StartOptions,
  startGateway,
  temporaryHome,
} from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'

/**
 * Does what the message says, and answers anything else; with a file `calm` in its folder it answers everything. What it is
 * given is written down before: a witness outside the journal.
 */
const AGENT = `
import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
const at = (name) => new URL(name, import.meta.url)
export default async function ({ sessionKey, payload: { content } }, { signal }) {
  appendFileSync(at('./witness.log'), sessionKey + ' ' + content + '\\n')
  if (!existsSync(at('./calm'))) {
    if (content.startsWith('hang')) await delay(3_600_000, undefined, { signal })
    if (content.startsWith('deaf')) await delay(3_600_000)
    if (content.startsWith('fail')) throw new Error('as asked')
    if (content.startsWith('until go')) while (!existsSync(at('./go'))) await delay(5, undefined, { signal })
  }
  return 'answer to ' + content
}
`

export interface Config {
  readonly [section: string]: unknown
}

export interface Harness {
  readonly home: string
  /** The same configuration with these sections instead. */
  configure(config: Config): void
  /** Adds a plugin; its text is that of the module. */
  plugin(name: string, text: string): { module: string }
  file(name: string, text?: string): void
  start(options?: StartOptions): Promise<GatewayProcess>
  connect(gateway: GatewayProcess, hello?: Record<string, unknown>): Promise<TestSocket>
  /** What the agent was given so far, in order. */
  witness(): string[]
}

export function harness(t: Test, config: Config = {}): Harness {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const file: Harness['file'] = (name, text = '') => writeFileSync(join(home, name), text)
  const configure: Harness['configure'] = (sections) => {
    const base = { defaultAgent: 'scripted', agents: { scripted: { type: 'module', path: './agent.mjs' } } }
    file('config.json', JSON.stringify({ ...base, ...sections }))
  }
  file('agent.mjs', AGENT)
  file('witness.log')
  configure(config)
  return {
    home,
    configure,
    file,
    plugin: (name, text) => {
      file(name, text)
      return { module: `./${name}` }
    },
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
    witness: () => readFileSync(join(home, 'witness.log'), 'utf8').split('\n').slice(0, -1),
  }
}

const FINALS = ['agent.completed', 'agent.failed', 'agent.aborted', 'agent.merged']
export const isFinal = ({ event }: { event: string }) => FINALS.includes(event)
const isDurable = ({ seq }: { event: string; seq?: number }) => seq !== undefined

/** Waits until nothing waits or runs; told by events, asked for once more after each. */
export async function idle(socket: TestSocket): Promise<void> {
  for (;;) {
    const seen = socket.frames.length
    const { lanes } = await socket.call('gateway.info')
    if (lanes.pending === 0) return
    await socket.next(isFinal, seen)
  }
}

export async function history(socket: TestSocket, key: string): Promise<Frame[]> {
  const { messages } = await socket.call('sessions.history', { limit: 500 }, key)
  return messages
}

export interface Watcher {
  readonly client: GatewayClient
  /** Every event so far. */
  readonly frames: EventFrame[]
  /** How each of its connections, or tries to connect, has ended. */
  readonly closeCodes: number[]
  /** Connections so far. */
  readonly opened: () => number
}

/** A client that sees everything and comes back by itself, quickly. */
export async function watch(
  t: Test,
  gateway: GatewayProcess,
  options: Partial<NodeClientOptions> = {},
): Promise<Watcher> {
  const client = createNodeClient({
    url: gateway.wsUrl,
    client: { id: 'watcher', version: '1', platform: 'test', mode: 'cli' },
    reconnect: { minMs: 20, maxMs: 100 },
    ...options,
  })
  t.teardown(() => client.close())
  const frames: EventFrame[] = []
  const closeCodes: number[] = []
  let opened = 0
  client.on('*', (frame) => void frames.push(frame))
  client.onStateChange((state) => {
    if (state.status === 'open') opened++
    if (state.status !== 'waiting') return
    const { closeCode } = (state.error.details ?? {}) as { closeCode?: number }
    if (closeCode !== undefined) closeCodes.push(closeCode)
  })
  await client.connect()
  return { client, frames, closeCodes, opened: () => opened }
}

/**
 * What was seen is what the journal has, from the first that was seen on: no gap, no double; and each run that was accepted
 * has one final, in its session's order.
 */
export async function verify(
  t: Test,
  socket: TestSocket,
  frames: readonly EventFrame[],
  sent: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  const seen = frames.filter(isDurable)
  t.same(
    seen.map(({ seq, id, event }) => [seq, id, event]),
    socket.frames.filter(isDurable).map(({ seq, id, event }) => [seq, id, event]),
    'every durable event is seen once, in order',
  )
  const finals = seen.filter(isFinal)
  for (const [key, runIds] of sent) {
    t.same(
      finals
        .filter(({ sessionKey }) => sessionKey === key)
        .map(({ payload }) => (payload as { runId: string }).runId),
      runIds,
      `${key}: each run ends once, in the order in which it was accepted`,
    )
  }
}

/** A client that is given the whole log again: what there was to see. */
export async function replayed(h: Harness, gateway: GatewayProcess): Promise<TestSocket> {
  const probe = await h.connect(gateway)
  const { epoch } = probe.helloOk!.resume
  const { seq: head } = await probe.call('gateway.info')
  const socket = await h.connect(gateway, { resume: { epoch, seq: 0 } })
  if (head > 0) await socket.next((frame) => frame.seq === head)
  return socket
}
