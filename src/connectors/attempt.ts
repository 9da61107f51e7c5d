import { GatewayError } from '../protocol/index.js'
import type { Connector, IncomingMessage, Inlet, Received, Target } from './connector.js'

export interface AttemptOptions {
  readonly connectTimeoutMs: number
  /** How long `listen` may go on once its signal has aborted. */
  readonly graceMs: number
  readonly receive: (message: IncomingMessage, signal: AbortSignal) => Promise<Received>
  readonly knows: (target: Target) => Promise<boolean>
  readonly onConnected: (identity: string | null) => void
  readonly onTroubled: (error: GatewayError | null) => void
  /** `ended` resolves when `listen` ends after all, if it ever does. */
  readonly onAbandoned: (ended: Promise<void>) => void
}

const ABANDONED = Symbol('abandoned')

/** One call of a connector's `listen`, with a bounded beginning and end. What comes of it after its end has no effect. */
export class Attempt implements Inlet {
  readonly #options: AttemptOptions
  readonly #control = new AbortController()
  #connectedAt: number | null = null
  #heldMs: number | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(options: AttemptOptions) {
    this.#options = options
  }

  /** Whether it has ended, or is told to. */
  get over(): boolean {
    return this.#control.signal.aborted
  }

  /** How long the connection held; null: it never came about. */
  get heldMs(): number | null {
    return this.#heldMs
  }

  /** Runs until `signal` aborts or the connection is lost. Resolves with why it ended; never rejects. */
  async run(connector: Connector, signal: AbortSignal): Promise<unknown> {
    const { connectTimeoutMs, graceMs, onAbandoned } = this.#options
    const stop = () => this.#control.abort(new GatewayError('CANCELLED', 'The channel is stopped.'))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    const late = new GatewayError('UNAVAILABLE', `There was no connection within ${connectTimeoutMs} ms.`)
    this.#timer = setTimeout(() => this.#control.abort(late), connectTimeoutMs)
    let grace: NodeJS.Timeout | undefined
    const abandoned = new Promise<typeof ABANDONED>((resolve) => {
      const wait = () => {
        grace = setTimeout(() => resolve(ABANDONED), graceMs)
      }
      if (this.#control.signal.aborted) wait()
      else this.#control.signal.addEventListener('abort', wait, { once: true })
    })
    const listening = this.#listen(connector)
    const end = await Promise.race([listening, abandoned])
    if (end === ABANDONED) onAbandoned(listening.then(() => {}))
    const why = this.#control.signal.aborted ? this.#control.signal.reason : end
    clearTimeout(this.#timer)
    // What is still on its way in belongs to a connection that is no more.
    this.#control.abort(new GatewayError('UNAVAILABLE', 'The connection ended.'))
    clearTimeout(grace)
    signal.removeEventListener('abort', stop)
    if (this.#connectedAt !== null) this.#heldMs = performance.now() - this.#connectedAt
    return why
  }

  /** Ends it with a failure that showed elsewhere than in `listen`. */
  fail(error: GatewayError): void {
    this.#control.abort(error)
  }

  connected(identity?: string): void {
    if (this.#control.signal.aborted || this.#connectedAt !== null) return
    clearTimeout(this.#timer)
    this.#connectedAt = performance.now()
    this.#options.onConnected(identity ?? null)
  }

  troubled(error: GatewayError | null): void {
    if (!this.#control.signal.aborted) this.#options.onTroubled(error)
  }

  async receive(message: IncomingMessage): Promise<Received> {
    const { signal } = this.#control
    if (signal.aborted) throw new GatewayError('UNAVAILABLE', 'The channel is stopped.')
    return this.#options.receive(message, signal)
  }

  knows(target: Target): Promise<boolean> {
    return this.#options.knows(target)
  }

  /** Resolves with why it ended. */
  async #listen(connector: Connector): Promise<unknown> {
    try {
      await connector.listen(this, this.#control.signal)
      return new GatewayError('UNAVAILABLE', 'The connection ended.')
    } catch (error) {
      return error
    }
  }
}
