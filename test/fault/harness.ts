import { readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { ClientOptions } from 'ws'
import { type ConfigOverrides, temporaryFolder } from '../helpers/app.js'
import { type GatewayProcess, startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

/** A plugin that says what lives in the process after a collection: what garbage there happens to be says nothing. */
const INSPECTOR = `
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
export default async function (app) {
  app.get('/inspect', async () => {
    collect()
    await new Promise(setImmediate)
    collect()
    const { heapUsed, external } = process.memoryUsage()
    const resources = process.getActiveResourcesInfo()
    return { bytes: heapUsed + external, timers: resources.filter((name) => name === 'Timeout').length }
  })
}
`

export interface Inspection {
  /** Live memory: heap and buffers. */
  readonly bytes: number
  readonly timers: number
}

export interface Faulty {
  readonly process: GatewayProcess
  readonly home: string
  /** A WebSocket that has said nothing. */
  open(options?: ClientOptions): Promise<TestSocket>
  /** A WebSocket whose hello was answered. */
  connect(hello?: Record<string, unknown>, options?: ClientOptions): Promise<TestSocket>
  /** A client that behaves; see `PoliteClient`. */
  polite(options?: PoliteOptions): Promise<PoliteClient>
  inspect(): Promise<Inspection>
  /** The sum of a metric's series whose labels have all of these. */
  metric(name: string, labels?: Record<string, string>): Promise<number>
  /** Open file descriptors of the process: sockets, files, pipes. */
  descriptors(): number
  /** To be called before the fault; what it gives waits until the process is as it was. */
  restored(): Promise<(t: Test) => Promise<void>>
  /** Ends it as a crash would and starts it again with the same state. */
  restart(): Promise<void>
}

export interface FaultyOptions {
  readonly config?: ConfigOverrides & { agents?: Record<string, Record<string, unknown>> }
  /** Further files of the state folder, by name. */
  readonly files?: Record<string, string>
  readonly env?: NodeJS.ProcessEnv
  readonly openFiles?: number
}

/** Live memory may differ by this much without anything having been kept: caches, compiled code, pools. */
const MEMORY_SLACK_BYTES = 6 * 1024 * 1024

/** The real gateway as a process of its own, on a real journal, with a plugin to look into it; gone with the test. */
export async function startFaulty(t: Test, options: FaultyOptions = {}): Promise<Faulty> {
  const home = join(await temporaryFolder(t), 'home')
  await mkdir(home)
  const config = {
    rateLimit: { http: { max: 0 }, upgrades: { max: 0 } },
    connection: { closeGraceMs: 200 },
    ...options.config,
    plugins: [{ module: './inspector.mjs' }, ...(options.config?.plugins ?? [])],
  }
  const files = { 'inspector.mjs': INSPECTOR, 'config.json': JSON.stringify(config), ...options.files }
  for (const [name, text] of Object.entries(files)) await writeFile(join(home, name), text)
  const start = async () => {
    const started = await startGateway({ home, env: options.env, openFiles: options.openFiles })
    t.teardown(() => started.kill9())
    return started
  }
  let gateway = await start()
  const open: Faulty['open'] = async (socketOptions) => {
    const socket = new TestSocket(gateway.wsUrl, { rejectUnauthorized: false, ...socketOptions })
    t.teardown(() => socket.terminate())
    await socket.opened
    return socket
  }
  const inspect = async () => JSON.parse(await fetchText(`${gateway.url}/inspect`)) as Inspection
  const connect: Faulty['connect'] = async (hello, socketOptions) => {
    const socket = await open(socketOptions)
    await socket.hello(hello)
    return socket
  }
  const metric: Faulty['metric'] = async (name, labels) =>
    readMetric(await fetchText(`${gateway.url}/metrics`), name, labels)
  const descriptors = () => readdirSync(`/proc/${gateway.pid}/fd`).length
  return {
    get process() {
      return gateway
    },
    home,
    open,
    connect,
    inspect,
    metric,
    descriptors,
    polite: async (politeOptions = {}) => PoliteClient.connect(connect, politeOptions),
    restored: async () => {
      // The first look compiles what looking takes.
      await inspect()
      const connections = await metric('gateway_connections')
      const before = await inspect()
      let open = descriptors()
      // Without that of the look itself, which may not be closed yet.
      for (let i = 0; i < 5; i++) {
        await sleep(5)
        open = Math.min(open, descriptors())
      }
      return async (t) => {
        await until(async () => (await metric('gateway_connections')) === connections)
        await until(() => descriptors() <= open)
        await until(async () => (await inspect()).timers <= before.timers)
        const { bytes } = await inspect()
        const grown = Math.round((bytes - before.bytes) / 1024)
        t.ok(bytes - before.bytes < MEMORY_SLACK_BYTES, `memory came back: ${grown} kB more than before`)
      }
    },
    restart: async () => {
      await gateway.kill9()
      gateway = await start()
    },
  }
}

/** Over a connection of its own that ends with it, so that it counts in no measurement. */
export function fetchText(url: string, options: { localAddress?: string } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`${url}: ${response.statusCode} ${text}`))
      })
    }).on('error', reject)
  })
}

function readMetric(text: string, name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
  let sum = 0
  for (const line of text.split('\n')) {
    const [, series, given = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (series === name && wanted.every((label) => given.split(',').includes(label))) sum += Number(value)
  }
  return sum
}

export interface PoliteOptions {
  readonly key?: string
  readonly hello?: Record<string, unknown>
  readonly socket?: ClientOptions
}

/** Sends a message, reads the answer, sends the next; notices whatever it is not given, or given twice. */
export class PoliteClient {
  #sent = 0

  private constructor(
    readonly socket: TestSocket,
    readonly key: string,
  ) {}

  static async connect(connect: Faulty['connect'], options: PoliteOptions): Promise<PoliteClient> {
    const { key = 'polite:1:main', hello, socket: socketOptions } = options
    const socket = await connect({ ...hello, subscribe: [] }, socketOptions)
    if (socket.helloOk === null) throw new Error(`refused: ${JSON.stringify(socket.frames[0])}`)
    await socket.call('events.subscribe', { sessionKeys: [key] })
    // Its session answers by itself, whatever agent the others have.
    await socket.call('sessions.create', { agent: 'echo' }, key)
    return new PoliteClient(socket, key)
  }

  /** So many messages one after the other, each answered before the next is sent. */
  async ask(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const content = `m${this.#sent++}`
      const { outcome } = await this.socket.call('sessions.send', { content, wait: true }, this.key)
      if (outcome.message?.content !== content)
        throw new Error(`asked ${content}: ${JSON.stringify(outcome)}`)
    }
  }

  /** Goes on asking until `promise` has ended. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let ended = false
    const settled = promise.finally(() => {
      ended = true
    })
    settled.catch(() => {})
    while (!ended) {
      await this.ask(1)
      // A person does not ask again at once.
      await sleep(5)
    }
    await this.ask(1)
    return settled
  }

  /** All that it asked and was answered is there once, in order; in the history and in what it was told. */
  async verify(t: Test): Promise<void> {
    await this.ask(1)
    const expected = Array.from({ length: this.#sent }, (_, i) => [`user m${i}`, `assistant m${i}`]).flat()
    const told = this.socket.frames.filter(({ event }) => event === 'session.message')
    t.same(
      told.map(({ payload }) => describe(payload)),
      expected,
      `a polite client was told all ${this.#sent} questions and answers once, in order`,
    )
    const seqs = told.map(({ seq }) => seq)
    t.same(
      seqs,
      [...seqs].sort((a, b) => a - b),
    )
    t.notOk(
      this.socket.frames.some((frame) => 'dropped' in frame),
      'and nothing was left out for it',
    )
    t.same((await history(this.socket, this.key)).map(describe), expected, 'and the history agrees')
  }
}

const describe = ({ role, content }: { role: string; content: string }) => `${role} ${content}`

/** The whole history of a session, oldest first. */
export async function history(socket: TestSocket, key: string): Promise<Frame['payload'][]> {
  const pages: Frame['payload'][][] = []
  let cursor: string | undefined
  do {
    const page = await socket.call('sessions.history', { limit: 500, cursor }, key)
    pages.unshift(page.messages)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return pages.flat()
}

let besides = 0

/** Misbehaves while a polite client asks on, which has to notice nothing, and leaves the gateway as it was. */
export async function beside(t: Test, gateway: Faulty, misbehave: () => Promise<unknown>): Promise<void> {
  const polite = await gateway.polite({ key: `polite:${besides++}:main` })
  const restored = await gateway.restored()
  await polite.during(misbehave())
  await polite.verify(t)
  await restored(t)
  polite.socket.terminate()
}
