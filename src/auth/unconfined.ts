import { GatewayError } from '../protocol/errors.js'
import type { Principal } from './principal.js'

/** @throws `FORBIDDEN` for a principal that is confined to some sessions: this concerns all of them. */
export function requireUnconfined({ sessions }: Principal): void {
  if (sessions === null) return
  throw new GatewayError('FORBIDDEN', 'These credentials are confined to some sessions.', {
    details: { sessions },
  })
}
