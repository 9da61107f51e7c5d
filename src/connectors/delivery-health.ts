import type { CheckResult } from '../health/health.js'
import type { Deliverer } from './deliverer.js'

/** Names that are told; more do not help. */
const MAX_NAMES = 5

/** Degraded while a channel is full, or deliveries wait for one that is not configured. */
export function deliveryHealth(deliverer: Deliverer): CheckResult {
  const unknown = [...deliverer.unknown()].map(({ channel, deliveries }) => `${channel} (${deliveries})`)
  if (unknown.length > 0) {
    const names = unknown.slice(0, MAX_NAMES).join(', ')
    return { status: 'degraded', message: `deliveries wait for channels that are not configured: ${names}` }
  }
  const full = [...deliverer.waiting()].filter(({ channel }) => !deliverer.hasRoom(channel))
  if (full.length === 0) return { status: 'ok' }
  const names = full.slice(0, MAX_NAMES).map(({ channel }) => channel)
  return { status: 'degraded', message: `full: ${names.join(', ')}` }
}
