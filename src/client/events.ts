import type { Static } from '@sinclair/typebox'
import type { EVENTS, EventName } from '../protocol/events.js'
import type { EventFrame, HelloOkFrame, ResumePosition } from '../protocol/frames.js'
import { type Listener, Listeners } from './listeners.js'

type EventContracts = (typeof EVENTS)[keyof typeof EVENTS]

/** The frame of an event of the catalogue, with the type of its payload. */
export type EventOf<N extends EventName> = Omit<EventFrame, 'event' | 'payload'> & {
  readonly event: N
  readonly payload: Static<Extract<EventContracts, { name: N }>['payload']>
}

/** Hands event frames to listeners, each durable one once. */
export class EventHub {
  readonly #listeners = new Map<string, Listeners<EventFrame>>()
  #position: ResumePosition | null

  constructor(position: ResumePosition | null) {
    this.#position = position
  }

  /** The last durable event that was seen; null before the first hello. */
  get position(): ResumePosition | null {
    return this.#position
  }

  on(event: string, listener: Listener<EventFrame>): () => void {
    const listeners = this.#listeners.get(event) ?? new Listeners<EventFrame>()
    this.#listeners.set(event, listeners)
    return listeners.add(listener)
  }

  /** Where the stream goes on. True: without a gap from the last event that was seen. */
  begin(resume: HelloOkFrame['resume']): boolean {
    const before = this.#position
    if (before !== null && resume.recovered && before.epoch === resume.epoch) return true
    this.#position = { epoch: resume.epoch, seq: resume.seq }
    return false
  }

  dispatch(frame: EventFrame, filter: ((frame: EventFrame) => boolean) | null): void {
    const position = this.#position
    if (frame.seq !== undefined && position !== null) {
      if (frame.seq <= position.seq) return
      this.#position = { epoch: position.epoch, seq: frame.seq }
    }
    if (filter !== null && !filter(frame)) return
    this.#listeners.get(frame.event)?.call(frame)
    this.#listeners.get('*')?.call(frame)
  }
}
