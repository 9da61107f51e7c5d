import { xml } from '@xmpp/client'
import type { Stanza } from './stanzas.js'

export const NS_ACKS = 'urn:xmpp:sm:3'

/**
 * Tells the server what has been handled (XEP-0198 §4), without resuming: what it has sent in vain when the connection ends
 * it keeps or sends elsewhere.
 */
export class Acks {
  readonly #send: (element: Stanza) => void
  #isOn = false
  #received = 0
  /** Received and not handled yet, in order. */
  readonly #open = new Set<number>()

  constructor(send: (element: Stanza) => void) {
    this.#send = send
  }

  /** For a server that offers it. */
  enable(): void {
    this.#send(xml('enable', { xmlns: NS_ACKS }))
  }

  /** Whether a message that is not acknowledged comes again. */
  get isOn(): boolean {
    return this.#isOn
  }

  /** Given everything that is no stanza. */
  nonza(element: Stanza): void {
    if (element.is('enabled', NS_ACKS)) this.#isOn = true
  }

  /** Counts a stanza; the result is called when it has been handled. */
  count(): () => void {
    if (!this.#isOn) return () => {}
    const number = ++this.#received
    this.#open.add(number)
    return () => this.#open.delete(number)
  }

  /** Answers the server's question, or says so unasked. */
  tell(): void {
    const [first] = this.#open
    const handled = first === undefined ? this.#received : first - 1
    if (this.#isOn) this.#send(xml('a', { xmlns: NS_ACKS, h: String(handled) }))
  }
}
