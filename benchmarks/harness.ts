import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Command, Usage } from './servers/control.js'

export type ServerName = 'gateway' | 'plain-ws'

/** A server under test, in a process of its own. */
export class BenchServer {
  private constructor(
    readonly name: ServerName,
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(name: ServerName, env: NodeJS.ProcessEnv = {}): Promise<BenchServer> {
    const child = fork(new URL(`./servers/${name}.js`, import.meta.url), {
      execArgv: ['--expose-gc'],
      env: { ...process.env, ...env },
    })
    const [{ url }] = (await once(child, 'message')) as [{ url: string }]
    return new BenchServer(name, url, child)
  }

  usage({ collect = false } = {}): Promise<Usage> {
    return this.#ask({ do: 'usage', collect }) as Promise<Usage>
  }

  async publish(count: number, burst: number): Promise<void> {
    await this.#ask({ do: 'publish', count, burst })
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit')
    this.child.disconnect()
    await exited
  }

  async #ask(command: Command): Promise<unknown> {
    this.child.send(command)
    const [answer] = await once(this.child, 'message')
    return answer
  }
}

export const HELLO = {
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'bench', version: '1.0.0', platform: 'node', mode: 'cli' },
  auth: { token: 'benchmark-token' },
}

/** Connects, says hello and waits for the answer. */
export async function connect(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await once(socket, 'open')
  socket.send(JSON.stringify(HELLO))
  const [data] = await once(socket, 'message')
  const answer = JSON.parse(data.toString())
  if (answer.type !== 'hello-ok') throw new Error(`hello was answered with ${data}`)
  return socket
}

export async function connectAll(url: string, count: number): Promise<WebSocket[]> {
  const sockets: WebSocket[] = []
  while (sockets.length < count) {
    const batch = Math.min(100, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => connect(url)))))
  }
  return sockets
}

export function closeAll(sockets: readonly WebSocket[]): void {
  for (const socket of sockets) socket.terminate()
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

export interface Comparison {
  /** Server CPU of one operation, in microseconds; the median of the rounds. */
  readonly gateway: number
  readonly plain: number
  /** The median of the rounds' ratios. */
  readonly ratio: number
  /** Operations a second; the median of the rounds. */
  readonly gatewayRate: number
  readonly plainRate: number
}

export interface Load {
  /** How many connections it needs; they are made before the measurement. */
  readonly connections: number
  /** Returns how many operations it made. */
  readonly run: (server: BenchServer, sockets: readonly WebSocket[]) => Promise<number>
}

/** Runs a load against both servers in turn, `rounds` times. */
export async function compare(load: Load, rounds = 5, env: NodeJS.ProcessEnv = {}): Promise<Comparison> {
  const servers = await Promise.all([BenchServer.start('gateway', env), BenchServer.start('plain-ws')])
  const cpu: [number[], number[]] = [[], []]
  const rate: [number[], number[]] = [[], []]
  // The first round warms both up.
  for (let round = 0; round <= rounds; round++) {
    for (const side of [0, 1] as const) {
      const server = servers[side]
      const sockets = await connectAll(server.url, load.connections)
      const before = await server.usage()
      const start = performance.now()
      const operations = await load.run(server, sockets)
      const seconds = (performance.now() - start) / 1000
      const after = await server.usage()
      closeAll(sockets)
      if (round === 0) continue
      cpu[side].push((after.cpuUs - before.cpuUs) / operations)
      rate[side].push(operations / seconds)
    }
  }
  await Promise.all(servers.map((server) => server.stop()))
  return {
    gateway: median(cpu[0]),
    plain: median(cpu[1]),
    ratio: median(cpu[0].map((value, i) => value / cpu[1][i]!)),
    gatewayRate: median(rate[0]),
    plainRate: median(rate[1]),
  }
}

export function comparisonRow(
  name: string,
  { gateway, plain, ratio, gatewayRate, plainRate }: Comparison,
  goal: string,
): string[] {
  const whole = (value: number) => Math.round(value).toLocaleString('en')
  return [
    name,
    gateway.toFixed(2),
    plain.toFixed(2),
    ratio.toFixed(2),
    goal,
    whole(gatewayRate),
    whole(plainRate),
  ]
}

export const COMPARISON_HEAD = [
  'load',
  'gateway µs',
  'plain ws µs',
  'ratio',
  'goal',
  'gateway /s',
  'plain ws /s',
]
