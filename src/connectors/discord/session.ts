/**
 * What it takes to go on where the last connection ended: Discord sends everything after `handled` again.
 * https://discord.com/developers/docs/events/gateway#resuming
 */
export class Session {
  readonly id: string
  /** Where it is resumed. */
  readonly url: string
  readonly me: { readonly id: string; readonly name: string }
  readonly #inHand = new Set<number>()
  #last: number

  constructor(id: string, url: string, me: Session['me'], seq: number) {
    this.id = id
    this.url = url
    this.me = me
    this.#last = seq
  }

  /** Up to here nothing is missing. */
  get handled(): number {
    // Numbers come in their order, so that the first in the set is the lowest.
    for (const seq of this.#inHand) return seq - 1
    return this.#last
  }

  begin(seq: number): void {
    this.#last = Math.max(this.#last, seq)
    this.#inHand.add(seq)
  }

  end(seq: number): void {
    this.#inHand.delete(seq)
  }

  /** A new connection gets again what was in hand. */
  rewind(): void {
    this.#last = this.handled
    this.#inHand.clear()
  }
}
