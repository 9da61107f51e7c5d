import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { type Logger, pino } from 'pino'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { type ConfigDraft, loadConfig } from '../../src/config/load.js'
import { temporaryFolder } from './app.js'
import { TestSocket } from './socket.js'

/** What tests need of a configuration, beside what they are about; without a token everyone is an admin. */
export const BASE = `# by hand
port: 0
journal:
  type: memory # nothing is kept
configFile:
  watchIntervalMs: 0
  settleMs: 5
lanes:
  abortGraceMs: 20
`

export interface ConfigAppOptions {
  readonly home?: string
  /** Null: there is no file. Default: `BASE`. */
  readonly text?: string | null
  readonly name?: string
  readonly env?: NodeJS.ProcessEnv
  readonly flags?: { readonly logLevel?: string }
  readonly logger?: Logger
  readonly prepare?: (app: FastifyInstance) => void
}

/** A gateway with a configuration file, as `lurkbot gateway start` makes one, in this process. */
export async function startConfigured(t: Test, options: ConfigAppOptions = {}) {
  const { text = BASE, name = 'config.yaml', flags, prepare } = options
  const home = options.home ?? (await temporaryFolder(t))
  const path = join(home, name)
  if (text !== null) await writeFile(path, text)
  const env = { LURKBOT_HOME: home, ...options.env }
  const load = (draft?: ConfigDraft) => loadConfig({ env, flags, draft, isTTY: false })
  const loaded = await load()
  const logger = options.logger ?? pino({ level: 'silent' })
  const app = await buildApp({ ...loaded, load, logger, checkResults: true })
  t.teardown(() => app.close())
  prepare?.(app)
  await app.listen({ host: loaded.config.host, port: 0 })
  const { port } = app.server.address() as AddressInfo
  /** @param hello a token, or what the hello has besides the usual */
  const connect = async (hello: string | Record<string, unknown> = {}) => {
    const socket = new TestSocket(`ws://127.0.0.1:${port}/ws`)
    t.teardown(() => socket.terminate())
    await socket.opened
    await socket.hello(typeof hello === 'string' ? { auth: { token: hello } } : hello)
    return socket
  }
  return {
    app,
    home,
    path,
    port,
    connect,
    read: () => readFile(path, 'utf8'),
    write: (content: string) => writeFile(path, content),
  }
}
