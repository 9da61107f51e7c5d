import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { until } from './until.js'

const PROGRAM = '/usr/sbin/mosquitto'

export interface MosquittoOptions {
  /** Who may connect, by name with their password. Default: everyone. */
  readonly users?: Readonly<Record<string, string>>
  /** Lines of an ACL file. Default: everything is allowed. */
  readonly acl?: readonly string[]
  /** Certificate and key files: the port then speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Further lines of its configuration. */
  readonly lines?: readonly string[]
}

/** Debian's mosquitto on a free port of loopback. What it keeps survives `kill` and `start`. */
export class Mosquitto {
  readonly port: number
  readonly #config: string
  #process: ChildProcess | null = null
  #log = ''

  constructor(port: number, config: string) {
    this.port = port
    this.#config = config
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** What it has logged so far. */
  get log(): string {
    return this.#log
  }

  async start(): Promise<void> {
    const child = spawn(PROGRAM, ['-c', this.#config, '-v'], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    child.stderr.on('data', (chunk: Buffer) => {
      this.#log += chunk
    })
    await until(async () => child.exitCode !== null || (await isOpen(this.port)))
    if (child.exitCode !== null) throw new Error(`mosquitto did not start: ${this.#log}`)
  }

  /** Ends it by SIGKILL, or as politely as `signal` is. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  /** Sends a signal and does not wait. */
  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  /** Someone on the broker with a plain client. Forgotten by the broker when it is closed, unless options say otherwise. */
  async client(t: Test, options: IClientOptions = {}): Promise<MqttClient> {
    const client = await mqtt.connectAsync(
      this.url,
      { protocolVersion: 5, reconnectPeriod: 0, ...options },
      false,
    )
    t.teardown(() => client.endAsync(true))
    return client
  }
}

/** A running broker, ended with the test. */
export async function startMosquitto(t: Test, options: MosquittoOptions = {}): Promise<Mosquitto> {
  if (!existsSync(PROGRAM)) throw new Error('mosquitto is missing: apt-get install mosquitto')
  const folder = await mkdtemp(join(tmpdir(), 'lurkbot-mosquitto-'))
  const port = await freePort()
  const lines = [
    `listener ${port} 127.0.0.1`,
    `allow_anonymous ${options.users === undefined}`,
    'persistence true',
    `persistence_location ${folder}/`,
    // Whatever it has taken is on disk at once.
    'autosave_on_changes true',
    'autosave_interval 1',
    ...(options.lines ?? []),
  ]
  if (process.getuid?.() === 0) lines.push('user root')
  if (options.users !== undefined) {
    const file = join(folder, 'passwords')
    for (const [i, [name, password]] of Object.entries(options.users).entries()) {
      execFileSync('mosquitto_passwd', ['-b', ...(i === 0 ? ['-c'] : []), file, name, password], {
        stdio: 'ignore',
      })
    }
    lines.push(`password_file ${file}`)
  }
  if (options.acl !== undefined) {
    const file = join(folder, 'acl')
    await writeFile(file, `${options.acl.join('\n')}\n`, { mode: 0o600 })
    lines.push(`acl_file ${file}`)
  }
  if (options.tls !== undefined) lines.push(`certfile ${options.tls.cert}`, `keyfile ${options.tls.key}`)
  const config = join(folder, 'mosquitto.conf')
  await writeFile(config, `${lines.join('\n')}\n`)
  const broker = new Mosquitto(port, config)
  t.teardown(async () => {
    await broker.kill()
    await rm(folder, { recursive: true, force: true })
  })
  await broker.start()
  return broker
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
