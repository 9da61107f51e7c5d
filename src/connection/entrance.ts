import { GatewayError } from '../protocol/errors.js'

type Frame = Record<string, unknown>

/** What a connection waits for before it is open: its hello, and perhaps a proof. Neither may take for ever. */
export class Entrance {
  readonly #timeoutMs: number
  readonly #onLate: (error: GatewayError) => void
  #timer: NodeJS.Timeout | null = null
  #onProof: ((frame: Frame) => void) | null = null

  constructor(timeoutMs: number, onLate: (error: GatewayError) => void) {
    this.#timeoutMs = timeoutMs
    this.#onLate = onLate
    this.#await('hello')
  }

  /** The frame that was waited for has come. */
  arrived(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Resolves with the next proof: a challenge is good for one try. Not settled when the connection ends before. */
  awaitProof(): Promise<Frame> {
    this.#await('hello-proof')
    return new Promise((resolve) => {
      this.#onProof = resolve
    })
  }

  proof(frame: Frame): void {
    const onProof = this.#onProof
    this.#onProof = null
    onProof?.(frame)
  }

  /** Nothing is waited for any more; twice is fine. */
  close(): void {
    this.arrived()
    this.#onProof = null
  }

  #await(type: string): void {
    this.#timer = setTimeout(() => {
      const message = `No ${type} within ${this.#timeoutMs} ms.`
      this.#onLate(new GatewayError('INVALID_REQUEST', message, { retryable: true }))
    }, this.#timeoutMs)
  }
}
