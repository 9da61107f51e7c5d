import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from '../helpers/free-port.js'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type ProxyKind, PUBLIC_NAME, ReverseProxy } from '../helpers/reverse-proxy.js'
import { until } from '../helpers/until.js'
import { ADMIN_TOKEN, type Answer, PublicSide } from './public-side.js'

/** Short enough to wait for; the gateway's heartbeat stays well below it, as in the shipped files. */
export const IDLE_MS = 1_000
export const HEARTBEAT_MS = 250
export const MAX_REQUESTS = 20
export const MAX_PAYLOAD = 1_048_576

const HELD_AGENT = `
  import { existsSync } from 'node:fs'
  export default async function* (_event, { signal }) {
    yield 'first '
    while (!existsSync(process.env.TEST_RELEASE)) {
      if (signal.aborted) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    yield 'last'
  }
`

/** What stands in front of each test: a gateway, and the proxy with its shipped file. */
export class Stage {
  readonly home: string
  readonly port: number
  readonly public: PublicSide
  readonly #release: string
  gateway!: GatewayProcess

  static async start(t: Test, kind: ProxyKind): Promise<Stage> {
    const { home, remove } = temporaryHome()
    t.teardown(remove)
    const port = await freePort()
    const changes =
      kind.idleTimeout === null ? [] : ([[kind.idleTimeout, kind.idleTimeout.replace('75s', '1s')]] as const)
    const proxy = await ReverseProxy.start(t, kind, { gatewayPort: port, changes })
    const stage = new Stage(t, home, port, proxy)
    t.teardown(() => stage.gateway?.kill9())
    await stage.startGateway()
    await until(async () => (await stage.public.ask('/health/ready')).status === 200)
    return stage
  }

  private constructor(
    t: Test,
    home: string,
    port: number,
    readonly proxy: ReverseProxy,
  ) {
    this.home = home
    this.port = port
    this.public = new PublicSide(t, proxy)
    this.#release = join(home, 'release')
    mkdirSync(home, { recursive: true })
    writeFileSync(join(home, 'held.mjs'), HELD_AGENT)
    const config = {
      port,
      trustProxy: ['127.0.0.1'],
      auth: { tokens: [{ name: 'admin', token: ADMIN_TOKEN }], allowedHosts: [PUBLIC_NAME] },
      connection: { heartbeatMs: HEARTBEAT_MS, maxPayloadBytes: MAX_PAYLOAD },
      rateLimit: { http: { max: MAX_REQUESTS, windowMs: 600_000 } },
      overload: { maxLoopDelayMs: 60_000 },
      agents: { held: { type: 'module', path: './held.mjs' } },
      routing: [{ channel: 'held', agent: 'held' }],
    }
    writeFileSync(join(home, 'config.json'), JSON.stringify(config))
  }

  async startGateway(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const port = { LURKBOT_GATEWAY__PORT: String(this.port), TEST_RELEASE: this.#release }
    this.gateway = await startGateway({ home: this.home, env: { ...port, ...env } })
  }

  /** The held agent's run may end, and the next one is held again. */
  release(): void {
    writeFileSync(this.#release, '')
  }

  holdAgain(): void {
    rmSync(this.#release, { force: true })
  }

  /** Who the gateway says that a connection is from. */
  async addressOf(connId: string): Promise<string | undefined> {
    const admin = await this.public.connect()
    const { connections } = await admin.call('connections.list')
    admin.terminate()
    return connections.find((found: { connId: string }) => found.connId === connId)?.address
  }
}

export const isGone = ({ status }: Answer) => status === 502 || status === 503

export type SuiteTest = readonly [
  name: string,
  test: (t: Test, stage: Stage, kind: ProxyKind) => Promise<void>,
]
