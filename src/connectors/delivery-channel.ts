import type { OutgoingPart, Sent } from './connector.js'

/** A channel, as the deliverer sees it. */
export interface DeliveryChannel {
  /** The first segment of its session keys. */
  readonly name: string
  /** Peers that are sent to at the same time. */
  readonly concurrency: number
  /** Whether it is connected. While it is not, nothing is tried. */
  readonly ready: boolean
  /** What the platform takes as one message each; the same for the same text. */
  split(text: string): readonly string[]
  /**
   * Resolves once the platform has taken the part; errors as those of `Connector.send`. Called one at a time for each peer.
   * One that goes on after its signal is left behind.
   */
  send(part: OutgoingPart, signal: AbortSignal): Promise<Sent>
}
