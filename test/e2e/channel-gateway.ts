import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { ChannelState, ChannelStatus, JsonObject } from '../../src/protocol/index.js'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import type { LogLine } from '../helpers/log.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

export interface ChannelGatewayOptions {
  /** Its entry under `connectors:`; it has the name of its channel, and that is its type unless it says otherwise. */
  readonly connector: { readonly type: string; readonly [option: string]: unknown }
  readonly env?: NodeJS.ProcessEnv
  /** Who answers. Default: `echo`. */
  readonly agent?: HeldAgent
}

/** Short waits between tries: a test is about whether there is another one, not when. No limits for a test that asks often. */
const QUICK = {
  LURKBOT_GATEWAY__LOG__FORMAT: 'json',
  LURKBOT_GATEWAY__CHANNELS__RECONNECT__BACKOFF_MS: '20',
  LURKBOT_GATEWAY__CHANNELS__RECONNECT__MAX_BACKOFF_MS: '50',
  LURKBOT_GATEWAY__CHANNELS__DELIVERY__BACKOFF_MS: '20',
  LURKBOT_GATEWAY__CHANNELS__DELIVERY__MAX_BACKOFF_MS: '50',
  LURKBOT_GATEWAY__CHANNELS__DELIVERY__ATTEMPTS: '1000',
  LURKBOT_GATEWAY__RATE_LIMIT__HTTP__MAX: '0',
  LURKBOT_GATEWAY__RATE_LIMIT__FRAMES__MAX: '0',
  LURKBOT_GATEWAY__OVERLOAD__MAX_LOOP_DELAY_MS: '60000',
}

/** The level of pino's lines from which on operators are told: `info`. */
const INFO = 30

/** A gateway in a process of its own with one channel, which can be killed and started again with the same home. */
export class ChannelGateway {
  readonly channel: string
  readonly #home: string
  readonly #env: NodeJS.ProcessEnv
  #process!: GatewayProcess
  #socket!: TestSocket

  private constructor(home: string, { connector, env, agent }: ChannelGatewayOptions) {
    this.channel = typeof connector.channel === 'string' ? connector.channel : connector.type
    this.#home = home
    const agents: JsonObject = agent === undefined ? {} : { held: agent.entry }
    this.#env = {
      ...QUICK,
      LURKBOT_GATEWAY__CONNECTORS: JSON.stringify({ [this.channel]: connector }),
      LURKBOT_GATEWAY__AGENTS: JSON.stringify(agents),
      LURKBOT_GATEWAY__DEFAULT_AGENT: agent === undefined ? 'echo' : 'held',
      ...env,
    }
  }

  /** Resolves once it listens, whatever the channel does. Ends with the test. */
  static async start(t: Test, options: ChannelGatewayOptions): Promise<ChannelGateway> {
    const { home, remove } = temporaryHome()
    const gateway = new ChannelGateway(home, options)
    t.teardown(async () => {
      await gateway.kill9()
      remove()
    })
    await gateway.startAgain()
    return gateway
  }

  get url(): string {
    return this.#process.url
  }

  /** A connection that is subscribed to everything, of the process that runs now. */
  get socket(): TestSocket {
    return this.#socket
  }

  /** With the home of the one before, and other variables of the environment where they are given. */
  async startAgain(env: NodeJS.ProcessEnv = {}): Promise<void> {
    this.#process = await startGateway({ home: this.#home, env: { ...this.#env, ...env } })
    this.#socket = new TestSocket(this.#process.wsUrl)
    await this.#socket.opened
    await this.#socket.hello()
  }

  /** SIGKILL, as a crash would. */
  async kill9(): Promise<void> {
    this.#socket?.terminate()
    await this.#process?.kill9()
  }

  /** SIGTERM; how it ended. */
  async stop(): Promise<number | null> {
    return (await this.#process.stop()).code
  }

  async status(): Promise<ChannelStatus> {
    return (await this.#socket.call('channels.status', { channel: this.channel })).channel
  }

  /** The first status in that state, from now on; as clients are told by the event `channel.status`, or by asking. */
  async becomes(state: ChannelState): Promise<ChannelStatus> {
    const from = this.#socket.frames.length
    const now = await this.status()
    const isThat = (frame: Frame) => isStatus(frame) && frame.payload.state === state
    const status = now.state === state ? now : (await this.#socket.next(isThat, from)).payload
    // The log comes through another pipe.
    if (state === 'failed' || state === 'waiting') {
      await until(() => this.log().some(({ msg }) => msg === `channel ${state}`))
    }
    return status
  }

  /** What the event `channel.status` told since the process that runs now was connected to. */
  statuses(): ChannelStatus[] {
    return this.#socket
      .events()
      .filter(isStatus)
      .map(({ payload }) => payload)
  }

  /** The lines about the channel that operators see, of the process that runs now. */
  log(): LogLine[] {
    return this.output()
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ level, channel, connector }) => level >= INFO && [channel, connector].includes(this.channel))
  }

  /** All that the process that runs now has written. */
  output(): string {
    return this.#process.output()
  }

  /** Whether it says that it is ready, and serves. */
  async isReady(): Promise<boolean> {
    return (await fetch(new URL('/ready', this.url))).status === 200
  }

  /** How many messages of the channel the process that runs now has in its journal. */
  async accepted(): Promise<number> {
    const metrics = await (await fetch(new URL('/metrics', this.url))).text()
    const line = new RegExp(
      `^gateway_channel_messages_total\\{channel="${this.channel}",outcome="accepted"\\} (\\d+)`,
      'm',
    )
    return Number(line.exec(metrics)?.[1] ?? 0)
  }

  /** Says something on the channel that no message asked for. */
  async say(peer: string, text: string): Promise<void> {
    await this.#socket.call('channels.send', { channel: this.channel, peer, text })
  }

  /** The deliveries that failed for good. */
  async dead(): Promise<{ text: string; peer: string; error: { code: string; message: string } }[]> {
    return (await this.#socket.call('deliveries.list', { channel: this.channel })).deliveries
  }

  /** Resolves when so many deliveries wait for the channel. */
  async pending(count: number): Promise<void> {
    await until(async () => (await this.status()).pending === count)
  }
}

const isStatus = (frame: Frame) => frame.type === 'event' && frame.event === 'channel.status'

/** An agent behind HTTP that answers `re: …`, and only when it is let; what it has not answered is a run under way. */
export class HeldAgent {
  /** What it was asked, in order; a run that the death of a gateway cut short is asked twice. */
  readonly asked: string[] = []
  #holds = false
  #waiting: (() => void)[] = []
  readonly #server = createServer(async (request, response) => {
    const { event } = (await json(request)) as { event: { payload: { content: string } } }
    this.#ask(event.payload.content, response)
  })

  static async start(t: Test): Promise<HeldAgent> {
    const agent = new HeldAgent()
    await new Promise<void>((resolve) => agent.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => agent.#server.close().closeAllConnections())
    return agent
  }

  /** Its entry under `agents:`. */
  get entry(): JsonObject {
    const { port } = this.#server.address() as AddressInfo
    return { type: 'http', url: `http://127.0.0.1:${port}/` }
  }

  /** From now on nothing is answered. */
  hold(): void {
    this.#holds = true
  }

  /** Answers what waits, and what comes. */
  release(): void {
    this.#holds = false
    for (const answer of this.#waiting.splice(0)) answer()
  }

  #ask(content: string, response: ServerResponse): void {
    this.asked.push(content)
    const answer = () => {
      response.setHeader('content-type', 'text/plain')
      response.end(`re: ${content}`)
    }
    if (this.#holds) this.#waiting.push(answer)
    else answer()
  }
}
