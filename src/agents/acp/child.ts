import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'

/** How long a process may take to end before it is killed. */
const GRACE_MS = 2_000

export interface ChildOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
}

/** A process of its own group, so that what it started ends with it, and a Ctrl-C at the gateway's terminal does not reach it. */
export class Child {
  readonly process: ChildProcessWithoutNullStreams
  /** Resolves once it has ended with how, such as `exit code 1`. */
  readonly ended: Promise<string>
  #killer: NodeJS.Timeout | undefined

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.process = child
    // Its end is told by `ended`; that nobody reads any more is none of its own. Without free descriptors it has no streams.
    child.on('error', () => {})
    child.stdin?.on('error', () => {})
    child.stdout?.on('error', () => {})
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        clearTimeout(this.#killer)
        this.#signal('SIGKILL')
        resolve(signal === null ? `exit code ${code}` : signal)
      })
    })
  }

  /** @throws the error of the system, such as `ENOENT` */
  static async start({ command, args, cwd, env }: ChildOptions): Promise<Child> {
    const detached = process.platform !== 'win32'
    const child = spawn(command, args, { cwd, env, detached, stdio: ['pipe', 'pipe', 'pipe'] })
    const started = new Child(child)
    await once(child, 'spawn')
    return started
  }

  /** Ends it: its input, then SIGTERM, and after a grace SIGKILL. Twice is fine. */
  async stop(): Promise<void> {
    const { exitCode, signalCode, stdin } = this.process
    if (exitCode === null && signalCode === null && this.#killer === undefined) {
      stdin.end()
      this.#killer = setTimeout(() => this.#signal('SIGKILL'), GRACE_MS)
      this.#signal('SIGTERM')
    }
    await this.ended
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.process
    if (pid === undefined) return
    try {
      if (process.platform === 'win32') this.process.kill(signal)
      else process.kill(-pid, signal)
    } catch {
      // There is none of them any more.
    }
  }
}
