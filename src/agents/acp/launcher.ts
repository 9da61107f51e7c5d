import { GatewayError } from '../../protocol/index.js'
import type { Log } from '../agent.js'
import { Link, type LinkOptions } from './link.js'

const BACKOFF_MS = 1_000
const MAX_BACKOFF_MS = 60_000

export interface LauncherOptions extends Omit<LinkOptions, 'signal'> {
  readonly idleTimeoutMs: number
  readonly log: Log
}

/**
 * Has the agent's process started when a run needs it and ended when none does. One that ends before it was of any use is
 * started again only after a while, which doubles.
 */
export class Launcher {
  readonly #options: LauncherOptions
  readonly #closing = new AbortController()
  /** Being made, or there. */
  #link: Promise<Link> | null = null
  #current: Link | null = null
  #users = 0
  #idle: NodeJS.Timeout | undefined
  /** Starts in a row that came to nothing. */
  #failures = 0
  #notBefore = 0
  #lastError = new GatewayError('UNAVAILABLE', 'The agent’s process is not running.')

  constructor(options: LauncherOptions) {
    this.#options = options
  }

  /** Someone needs the process until `leave`. */
  enter(): void {
    this.#users++
    clearTimeout(this.#idle)
  }

  leave(): void {
    const { idleTimeoutMs } = this.#options
    if (--this.#users > 0 || idleTimeoutMs === 0 || this.#link === null) return
    this.#idle = setTimeout(() => this.#rest(), idleTimeoutMs).unref()
  }

  /** @throws GatewayError when it cannot be started, or is not to be yet */
  link(): Promise<Link> {
    if (this.#link !== null) return this.#link
    const waitMs = Math.ceil(this.#notBefore - performance.now())
    if (waitMs > 0) return Promise.reject(later(this.#lastError, waitMs))
    const link = this.#start()
    this.#link = link
    return link
  }

  /** The process was of use: should it die, it is started again at once. */
  proved(): void {
    this.#failures = 0
  }

  /** The error for a run whose process has died. */
  async death(link: Link): Promise<GatewayError> {
    await link.ended
    return later(this.#lastError, Math.max(0, Math.ceil(this.#notBefore - performance.now())))
  }

  /** Ends the process. Twice is fine. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    this.#closing.abort()
    const link = this.#link
    this.#link = Promise.reject(new GatewayError('CANCELLED', 'The gateway is stopping.'))
    this.#link.catch(() => {})
    await link?.then(
      (link) => link.close(),
      () => {},
    )
  }

  async #start(): Promise<Link> {
    // What dies without having been of any use counts as well.
    this.#failures++
    try {
      const link = await Link.start({ ...this.#options, signal: this.#closing.signal })
      link.ended.then((how) => this.#died(link, how))
      this.#current = link
      return link
    } catch (error) {
      if (this.#closing.signal.aborted) throw error
      this.#link = null
      this.#postpone(error as GatewayError)
      throw later(this.#lastError, this.#backoffMs())
    }
  }

  #died(link: Link, how: string): void {
    if (this.#current !== link) return
    this.#current = null
    if (this.#closing.signal.aborted) return
    this.#link = null
    this.#postpone(new GatewayError('UNAVAILABLE', `The agent’s process has ended (${how}).`))
  }

  #rest(): void {
    const link = this.#current
    this.#current = null
    this.#link = null
    this.#failures = 0
    link?.close()
  }

  #postpone(error: GatewayError): void {
    const waitMs = this.#backoffMs()
    this.#notBefore = performance.now() + waitMs
    this.#lastError = error
    this.#options.log.error(
      { err: error, agent: this.#options.name, waitMs },
      'an agent’s process is not running',
    )
  }

  #backoffMs(): number {
    return this.#failures === 0 ? 0 : Math.min(BACKOFF_MS * 2 ** (this.#failures - 1), MAX_BACKOFF_MS)
  }
}

function later(
  { code, message, details, retryable, cause }: GatewayError,
  retryAfterMs: number,
): GatewayError {
  return new GatewayError(code, message, { details, retryable, cause, retryAfterMs })
}
