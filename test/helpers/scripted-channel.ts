import type { OutgoingPart, Sent } from '../../src/connectors/connector.js'
import type { DeliveryChannel } from '../../src/connectors/delivery-channel.js'

/** A channel of which the test is the platform. Texts are split at `|`. */
export class ScriptedChannel implements DeliveryChannel {
  ready = true
  concurrency = 4
  /** Every part that it was asked to send. */
  readonly asked: OutgoingPart[] = []
  /** Those that it took. */
  readonly sent: OutgoingPart[] = []
  /** Throws for what the platform does not take. */
  onSend: (part: OutgoingPart, signal: AbortSignal) => unknown = () => {}
  #waiters: (() => void)[] = []

  constructor(readonly name = 'chat') {}

  split(text: string): string[] {
    return text.split('|')
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    this.asked.push(part)
    this.#wake()
    await this.onSend(part, signal)
    this.sent.push(part)
    this.#wake()
    return { messageId: `m${this.sent.length}` }
  }

  /** What it took, in order. */
  get texts(): string[] {
    return this.sent.map(({ text }) => text)
  }

  /** Waits until so many parts were taken. */
  async took(count: number): Promise<void> {
    while (this.sent.length < count) await this.#change()
  }

  /** Waits until so many parts were asked for. */
  async wasAsked(count: number): Promise<void> {
    while (this.asked.length < count) await this.#change()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}

/** Rejects when the signal aborts, and otherwise never ends: a platform that says nothing. */
export const silence = (_part: OutgoingPart, signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
