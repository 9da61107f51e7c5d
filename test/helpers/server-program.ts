import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server of another project that a test runs in the foreground, and may kill and start again. */
export class ServerProgram {
  readonly #command: readonly [string, ...string[]]
  readonly #port: number
  #child: ChildProcess | null = null
  #output = ''

  /** @param port of loopback, that it listens on when it is ready */
  constructor(command: readonly [string, ...string[]], port: number) {
    this.#command = command
    this.#port = port
  }

  /** Resolves once it accepts connections; rejects with its output when it ends before. */
  async start(): Promise<void> {
    const [program, ...args] = this.#command
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#output = ''
    const collect = (data: Buffer) => {
      this.#output += data
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    let problem: string | null = null
    child.once('error', ({ message }) => {
      problem = `${message}: is it installed? (DEBIAN_PACKAGES in .ci/run)`
    })
    child.once('exit', (code, signal) => {
      problem ??= `it ended (${code ?? signal}): ${this.#output}`
    })
    while (!(await accepts(this.#port))) {
      if (problem !== null) throw new Error(`${program} does not run: ${problem}`)
      await sleep(10)
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** SIGKILL, as a crash would; resolves when it has ended. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** SIGTERM, for one that has processes of its own to end; resolves when it has ended. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /** What it has written. */
  get output(): string {
    return this.#output
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
