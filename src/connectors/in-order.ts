import { GatewayError } from '../protocol/errors.js'

/**
 * Prepares what came in (names and files have to be asked for) without letting a later message of the same peer overtake an
 * earlier one. Across peers it goes on in parallel.
 */
export class InOrder {
  readonly #tails = new Map<string, Promise<void>>()
  readonly #maxWaiting: number
  #waiting = 0

  /** @param maxWaiting messages that may be in preparation, of all peers */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /**
   * Resolves as `hand` does, which is called with what `prepare` made; the peer's next one waits for the call only.
   * @throws `UNAVAILABLE` when too many wait.
   */
  async run<T, R>(peer: string, prepare: () => Promise<T>, hand: (prepared: T) => Promise<R>): Promise<R> {
    if (this.#waiting >= this.#maxWaiting) {
      throw new GatewayError('UNAVAILABLE', 'Too many messages wait to be prepared.')
    }
    this.#waiting++
    const turn = (this.#tails.get(peer) ?? Promise.resolve()).then(async () => {
      const prepared = await prepare()
      return { handed: hand(prepared) }
    })
    const tail = turn.then(
      () => {},
      () => {},
    )
    this.#tails.set(peer, tail)
    try {
      const { handed } = await turn
      return await handed
    } finally {
      this.#waiting--
      if (this.#tails.get(peer) === tail) this.#tails.delete(peer)
    }
  }
}
