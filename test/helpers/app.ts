import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { type ConfigDraft, loadConfig } from '../../src/config/load.js'
import { type Config, ConfigSchema } from '../../src/config/schema.js'
import type { LogTap } from '../../src/logs/log-tap.js'
import { TestSocket } from './socket.js'

type Deep<T> = {
  [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? Deep<T[K]> : T[K]
}
export type ConfigOverrides = Deep<Config>

const BASE = {
  port: 0,
  journal: { type: 'memory' },
  rateLimit: { http: { max: 0 }, upgrades: { max: 0 } },
  shutdown: { drainTimeoutMs: 5_000 },
  connection: { closeGraceMs: 200 },
  overload: { maxLoopDelayMs: 60_000 },
}

/** A complete configuration for tests: memory journal, any free port, no rate limits, no grace to wait for, ready on a busy machine. */
export function testConfig(overrides: ConfigOverrides = {}): Config {
  return Value.Default(ConfigSchema, merge(BASE, overrides)) as Config
}

/** What `buildApp` is given where there is a file. */
async function inFile(home: string, overrides: ConfigOverrides) {
  await writeFile(join(home, 'config.json'), JSON.stringify(merge(BASE, overrides)))
  const load = (draft?: ConfigDraft) => loadConfig({ env: { LURKBOT_HOME: home }, draft, isTTY: false })
  return { ...(await load()), load }
}

function merge(base: unknown, overrides: unknown): unknown {
  if (!isPlain(base) || !isPlain(overrides)) return overrides === undefined ? base : overrides
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(overrides)) merged[key] = merge(base[key], value)
  return merged
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A folder that is gone when the test ends. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lurkbot-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface RunningApp {
  readonly app: FastifyInstance
  readonly home: string
  readonly url: string
  readonly wsUrl: string
  /** A WebSocket that has not said hello. */
  open(path?: string, options?: ConstructorParameters<typeof TestSocket>[1]): Promise<TestSocket>
  /** A WebSocket whose hello was answered; its `helloOk` is that answer. */
  connect(
    hello?: Record<string, unknown>,
    options?: ConstructorParameters<typeof TestSocket>[1],
  ): Promise<TestSocket>
}

/** The gateway on a free port, in this process; results of methods are checked against their contracts. */
export async function startApp(
  t: Test,
  overrides: ConfigOverrides = {},
  options: {
    home?: string
    baseDir?: string
    logger?: FastifyBaseLogger
    logs?: LogTap
    /** The configuration is in a file, and `config.*` changes that. */
    inFile?: boolean
    prepare?: (app: FastifyInstance) => void | Promise<void>
  } = {},
): Promise<RunningApp> {
  const home = options.home ?? (await temporaryFolder(t))
  const { logger, logs, baseDir = home } = options
  const loaded = options.inFile ? await inFile(home, overrides) : { config: testConfig(overrides) }
  const { config } = loaded
  const app = await buildApp({ ...loaded, home, baseDir, logger, logs, checkResults: true })
  t.teardown(() => app.close())
  await options.prepare?.(app)
  await app.listen({ host: config.host, port: config.port })
  const { port } = app.server.address() as AddressInfo
  const scheme = config.tls.enabled ? 's' : ''
  const base = `://127.0.0.1:${port}${config.basePath}`
  const wsUrl = `ws${scheme}${base}/ws`
  const open: RunningApp['open'] = async (path = '/ws', socketOptions = {}) => {
    const socket = new TestSocket(`ws${scheme}${base}${path}`, socketOptions)
    t.teardown(() => socket.terminate())
    await socket.opened
    return socket
  }
  return {
    app,
    home,
    url: `http${scheme}${base}`,
    wsUrl,
    open,
    connect: async (hello, socketOptions) => {
      const socket = await open('/ws', socketOptions)
      await socket.hello(hello)
      return socket
    },
  }
}
