import { createHash } from 'node:crypto'
import { OWN_KEY_PREFIX } from '../protocol/index.js'

const MAX_KEY_LENGTH = 128

/**
 * The idempotency key of an event that the gateway itself takes in, such as a channel's message. No client can use it: whoever
 * may write to the session could else use up the key of a message that is still to come, which would then count as a duplicate.
 *
 * @param kind such as a type of connector; not one with a colon
 * @param id unique within the kind and the session; longer ones become keys by their digest
 */
export function ownKey(kind: string, id: string): string {
  const key = `${OWN_KEY_PREFIX}${kind}:${id}`
  if (key.length <= MAX_KEY_LENGTH) return key
  return `${OWN_KEY_PREFIX}${kind}:${createHash('sha256').update(id).digest('base64url')}`
}
