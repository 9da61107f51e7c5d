import { encodeFrame } from '../connection/frame-codec.js'
import type { SharedFrame } from '../connection/outbox.js'

/** An event on its way out; `payload` is JSON text. `seq` is 0 for what is not durable. */
export interface OutgoingEvent {
  readonly event: string
  readonly sessionKey: string | null
  readonly at: number
  readonly payload: string
  readonly seq: number
}

const processTag = Math.random().toString(36).slice(2, 8)
let counter = 0

/** Durable events keep their id in every replay; the others are unique in this process. */
function eventId(event: OutgoingEvent): string {
  return event.seq > 0 ? `ev_${event.seq}` : `ev_${processTag}_${++counter}`
}

/** The JSON of the event's frame (spec §1). */
export function eventText(event: OutgoingEvent): string {
  const key = event.sessionKey === null ? 'null' : JSON.stringify(event.sessionKey)
  const seq = event.seq > 0 ? `,"seq":${event.seq}` : ''
  return `{"id":"${eventId(event)}","type":"event","at":${event.at},"event":"${event.event}","payload":${event.payload},"sessionKey":${key}${seq}}`
}

/** The event's frame for all its receivers: serialised once, framed once. */
export function encodeEvent(event: OutgoingEvent, droppable: boolean): SharedFrame {
  const text = eventText(event)
  return { bytes: encodeFrame(text), text, droppable }
}
