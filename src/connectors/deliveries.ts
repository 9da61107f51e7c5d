import type { NewDelivery } from '../journal/outbox.js'

/** The outbox, as those see it who have something to say on a channel. */
export interface Deliveries {
  /** Resolves once they are on disk. @throws `UNAVAILABLE` where there is no room, or no disk. */
  enqueue(deliveries: readonly NewDelivery[]): Promise<void>
  /** Whether fewer than `channels.maxPendingDeliveries` wait for it. */
  hasRoom(channel: string): boolean
  /** How many wait for it. */
  pending(channel: string): number
  /** Resolves once the platform has taken it. @throws why it could not be delivered for good, or the signal's reason. */
  wait(id: string, signal: AbortSignal): Promise<void>
}
