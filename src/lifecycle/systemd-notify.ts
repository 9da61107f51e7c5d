import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'

/** It waits for the service manager, for 5 s at most; longer only where the machine is stuck. Milliseconds. */
const COMMAND_TIMEOUT_MS = 10_000
const ATTEMPTS = 3
const RETRY_MS = 1_000
/** A start that goes on says so this often, and asks for that much more time each. Milliseconds. */
const STARTING_INTERVAL_MS = 10_000
const STARTING_EXTENSION_MS = 60_000

/** A failure of `systemd-notify`, for the log. */
export type OnFailure = (error: Error) => void

/**
 * Tells systemd how the gateway is (sd_notify(3)), through `systemd-notify`, since Node has no datagram sockets of the Unix
 * domain. Messages go out one at a time, in order; one that fails is logged and harms nothing else.
 *
 * Not with `--no-block`: the manager knows the sender by its process, which must be there until the message was read.
 */
export class SystemdNotifier {
  readonly #env: NodeJS.ProcessEnv
  readonly #onFailure: OnFailure
  #queue: Promise<void> = Promise.resolve()
  #starting: NodeJS.Timeout | null = null
  #watchdog: NodeJS.Timeout | null = null
  #watchdogUnderWay = false
  #isStopping = false

  /**
   * Null unless a manager asks to be told. Takes its variables out of `env`: the processes of agents are not to speak for the
   * gateway.
   */
  static fromEnv(env: NodeJS.ProcessEnv, onFailure: OnFailure): SystemdNotifier | null {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = env
    delete env.NOTIFY_SOCKET
    delete env.WATCHDOG_USEC
    delete env.WATCHDOG_PID
    if (!socket) return null
    const isWatched = watchdogPid === undefined || Number(watchdogPid) === process.pid
    const watchdogMs = isWatched ? Number(watchdogUs) / 1_000 : 0
    return new SystemdNotifier({ PATH: env.PATH, NOTIFY_SOCKET: socket }, watchdogMs, onFailure)
  }

  private constructor(env: NodeJS.ProcessEnv, watchdogMs: number, onFailure: OnFailure) {
    this.#env = env
    this.#onFailure = onFailure
    const extend = () => void this.#send(`EXTEND_TIMEOUT_USEC=${STARTING_EXTENSION_MS * 1_000}`)
    this.#starting = setInterval(extend, STARTING_INTERVAL_MS).unref()
    // That the timer fires says that the event loop turns, which is what a restart would mend.
    if (watchdogMs > 0) this.#watchdog = setInterval(() => void this.#ping(), watchdogMs / 2).unref()
  }

  /** It serves. `status` is what `systemctl status` shows. */
  ready(status: string): Promise<void> {
    if (this.#starting !== null) clearInterval(this.#starting)
    this.#starting = null
    return this.#isStopping ? this.#queue : this.#send('READY=1', `STATUS=${status}`)
  }

  /** It reads its configuration anew, or begins anew; `ready` follows. */
  reloading(status: string): Promise<void> {
    if (this.#isStopping) return this.#queue
    const monotonicUs = process.hrtime.bigint() / 1_000n
    return this.#send('RELOADING=1', `MONOTONIC_USEC=${monotonicUs}`, `STATUS=${status}`)
  }

  /** It stops, which may take `timeoutMs`, whatever the unit says; from here on nobody watches it. */
  stopping(timeoutMs: number): Promise<void> {
    for (const timer of [this.#starting, this.#watchdog]) if (timer !== null) clearInterval(timer)
    this.#isStopping = true
    // Not behind what waits: the process may end before that was told.
    return this.#deliver([
      'STOPPING=1',
      'STATUS=Stopping',
      `EXTEND_TIMEOUT_USEC=${Math.ceil(timeoutMs * 1_000)}`,
    ])
  }

  async #ping(): Promise<void> {
    if (this.#watchdogUnderWay) return
    this.#watchdogUnderWay = true
    await this.#send('WATCHDOG=1')
    this.#watchdogUnderWay = false
  }

  /** Never rejects. */
  #send(...fields: string[]): Promise<void> {
    this.#queue = this.#queue.then(() => this.#deliver(fields))
    return this.#queue
  }

  async #deliver(fields: string[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#run(fields)
        return
      } catch (error) {
        if (attempt === ATTEMPTS) {
          this.#onFailure(error as Error)
          return
        }
        await delay(RETRY_MS, undefined, { ref: false })
      }
    }
  }

  #run(fields: string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const options = { env: this.#env, timeout: COMMAND_TIMEOUT_MS, killSignal: 'SIGKILL' as const }
      execFile('systemd-notify', fields, options, (error) => (error === null ? resolve() : reject(error)))
    })
  }
}
