import type { OutgoingPart } from './connector.js'

/** A part as programs read it, which have no platform between. */
export function partAsJson(part: OutgoingPart) {
  const { target, idempotencyKey: id, text, attachments, runId, replyTo, part: number, parts } = part
  const { peer, thread } = target
  return { type: 'message', id, peer, thread, text, attachments, runId, replyTo, part: number, parts }
}
