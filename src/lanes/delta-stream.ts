import { tooLong } from './ended.js'

/** Text that is kept for the end of a turn at most, characters. */
const PIECE = 16_384

/**
 * An answer on its way to those who watch. The first piece of a turn of the event loop goes out at once, those behind it
 * together: an agent that says a hundred thousand of them in one go costs the gateway a few events.
 */
export class DeltaStream {
  readonly #send: (text: string) => void
  readonly #maxBytes: number
  #bytes = 0
  #text = ''
  #inTurn = false

  /** @param maxBytes of all pieces together: they are the answer, and no longer than it may be. */
  constructor(send: (text: string) => void, maxBytes: number) {
    this.#send = send
    this.#maxBytes = maxBytes
  }

  /** @throws `UNAVAILABLE` past the bound. */
  push(text: string): void {
    // A text has at least as many bytes as characters: one that is far too long is not even counted.
    this.#bytes += text.length > this.#maxBytes ? text.length : Buffer.byteLength(text)
    if (this.#bytes > this.#maxBytes) throw tooLong(this.#maxBytes)
    if (!this.#inTurn) {
      this.#inTurn = true
      setImmediate(this.#onTurn)
      this.#send(text)
      return
    }
    this.#text += text
    if (this.#text.length > PIECE) this.flush()
  }

  /** What was said is void: the answer begins anew. */
  restart(): void {
    this.#text = ''
    this.#bytes = 0
  }

  /** Sends what is kept. */
  flush(): void {
    const text = this.#text
    if (text === '') return
    this.#text = ''
    this.#send(text)
  }

  readonly #onTurn = () => {
    this.#inTurn = false
    this.flush()
  }
}
