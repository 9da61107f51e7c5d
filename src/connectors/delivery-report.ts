import type { DeliveryRecord } from '../journal/outbox.js'

/** What events tell of a delivery. */
export const describe = ({ id, channel, peer, content }: DeliveryRecord) => ({
  deliveryId: id,
  channel,
  peer,
  runId: content.runId ?? null,
})

/** Seconds; a clock that was set back makes it no younger than new. */
export const age = ({ at }: DeliveryRecord): number => Math.max(0, Date.now() - at) / 1_000
