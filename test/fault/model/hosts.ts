import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../../src/app.js'
import { readPidFile } from '../../../src/cli/pid-file.js'
import { type ConfigOverrides, testConfig } from '../../helpers/app.js'
import { type GatewayProcess, startGateway } from '../../helpers/gateway-process.js'
import { until } from '../../helpers/until.js'
import { type History, type Life, type LifeEnd, now } from './history.js'
import { installAgent } from './witness.js'

export interface LifeOptions {
  /** Its agent does not wait for anything: all comes to an end. */
  readonly quiet?: boolean
  /** Killed so long after its process began, whether it is ready or not. Processes only. */
  readonly killAfterMs?: number
}

/** Runs gateways, one after the other, over one state folder. */
export interface Host {
  readonly home: string
  readonly history: History
  readonly wsUrl: string
  /** False: it was killed before it was ready. */
  start(options?: LifeOptions): Promise<boolean>
  /** Resolves when it is gone, or replaced: `start` follows. */
  end(how: LifeEnd): Promise<void>
  close(): Promise<void>
}

function configOf(life: number, quiet: boolean): ConfigOverrides {
  const witness = { type: 'module', path: './agent.mjs', options: { life, quiet } }
  return {
    defaultAgent: 'witness',
    agents: { witness },
    lanes: {
      concurrency: 4,
      retry: { attempts: 3, backoffMs: 1, maxBackoffMs: 2 },
      abortGraceMs: 20,
      collect: { quietMs: 3, maxMessages: 4, maxWaitMs: 12 },
      // Many an event dies here more often than in any life of a gateway.
      maxCrashes: 0,
      // Else most of a story would pass waiting.
      maxCrashBackoffMs: 2_000,
    },
    // Nothing but the drain is to be cut off, however slow the disk is.
    shutdown: { drainTimeoutMs: 15, closeTimeoutMs: 120_000 },
    // A restart alone begins the next life.
    configFile: { watchIntervalMs: 0 },
    rateLimit: { upgrades: { max: 0 } },
  }
}

/** The built program, a process a life. */
export class ProcessHost implements Host {
  wsUrl: string
  readonly #port: number
  #gateway: GatewayProcess | null = null

  private constructor(
    readonly home: string,
    readonly history: History,
    port: number,
  ) {
    this.#port = port
    this.wsUrl = `ws://127.0.0.1:${port}/ws`
  }

  /** `port`: of all lives; 0: each has its own, which nobody else can take in between. */
  static async create(home: string, history: History, port = 0): Promise<ProcessHost> {
    await installAgent(home)
    return new ProcessHost(home, history, port)
  }

  async start({ quiet = false, killAfterMs }: LifeOptions = {}): Promise<boolean> {
    // Restarted in place.
    if (this.#gateway !== null) return true
    const life = await this.#begin(quiet)
    let timer: NodeJS.Timeout | undefined
    const starting = startGateway({
      home: this.home,
      env: { LURKBOT_GATEWAY__PORT: String(this.#port), LURKBOT_GATEWAY__LOG__LEVEL: 'warn' },
      onSpawn: (child) => {
        if (killAfterMs === undefined) return
        timer = setTimeout(() => {
          life.end = 'killed'
          life.endedAt = now()
          child.kill('SIGKILL')
        }, killAfterMs)
      },
    })
    try {
      const gateway = await starting
      this.wsUrl = gateway.wsUrl
      if (killAfterMs === undefined) this.#gateway = gateway
      else await gateway.exited
      return killAfterMs === undefined
    } catch (error) {
      if (life.end === 'killed') return false
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async end(how: LifeEnd): Promise<void> {
    const life = this.history.lives.at(-1)!
    life.end = how
    life.endedAt = now()
    if (how === 'restarted') return this.#restart()
    if (how === 'killed') await this.#gateway!.kill9()
    else {
      const { code } = await this.#gateway!.stop()
      if (code !== 0) throw new Error(`the stop ended with ${code}:\n${this.#gateway!.output()}`)
    }
    this.#gateway = null
  }

  async close(): Promise<void> {
    await this.#gateway?.kill9()
  }

  async #begin(quiet: boolean): Promise<Life> {
    const life = this.history.begin()
    await writeFile(join(this.home, 'config.json'), JSON.stringify(configOf(life.n, quiet)))
    return life
  }

  /** The process stays; when this resolves, the next life serves. */
  async #restart(): Promise<void> {
    const gateway = this.#gateway!
    const last = () => readPidFile(this.home)?.lastRestart ?? null
    const before = last()?.number ?? 0
    const isOver = () => last()?.status !== 'underway' && (last()?.number ?? 0) > before
    await this.#begin(false)
    let ended = false
    gateway.exited.then(() => {
      ended = true
    })
    gateway.signal('SIGUSR2')
    await until(() => ended || isOver())
    if (last()?.status !== 'restarted') throw new Error(`the restart failed:\n${gateway.output()}`)
  }
}

/** The gateway in this process, for many short histories; it cannot be killed, only stopped. */
export class AppHost implements Host {
  wsUrl = ''
  #app: FastifyInstance | null = null

  private constructor(
    readonly home: string,
    readonly history: History,
  ) {}

  static async create(home: string, history: History): Promise<AppHost> {
    await installAgent(home)
    return new AppHost(home, history)
  }

  async start({ quiet = false }: LifeOptions = {}): Promise<boolean> {
    const { n } = this.history.begin()
    const config = testConfig({ ...configOf(n, quiet), journal: { type: 'sqlite' } })
    const app = await buildApp({ config, home: this.home, baseDir: this.home, checkResults: true })
    this.#app = app
    await app.listen({ host: '127.0.0.1', port: 0 })
    this.wsUrl = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`
    return true
  }

  async end(how: LifeEnd): Promise<void> {
    if (how === 'killed') throw new Error('only a process can be killed')
    const life = this.history.lives.at(-1)!
    life.end = how
    life.endedAt = now()
    this.#app!.lifecycle.restarting = how === 'restarted'
    await this.close()
  }

  async close(): Promise<void> {
    await this.#app?.close()
    this.#app = null
  }
}
