import { createHash } from 'node:crypto'
import type { Static } from '@sinclair/typebox'
import type { Principal } from '../auth/principal.js'
import type { Hooks } from '../hooks/hooks.js'
import { newEventIds, newMessageId } from '../journal/ids.js'
import type { AppendRequest, Duplicate, Entry, Journal } from '../journal/journal.js'
import type { Log } from '../log.js'
import {
  type Accepted,
  EVENTS,
  GatewayError,
  type InboundEvent,
  type JsonObject,
  type Priority,
} from '../protocol/index.js'
import { entry, newSessionRecord, type Sessions } from '../sessions/sessions.js'
import type { LaneDispatcher } from './dispatcher.js'
import { QueuedEvent } from './queued-event.js'

/** The type of an event that is a person's message: it is part of the conversation. */
export const MESSAGE_RECEIVED = 'message.received'

/** An event that asks to be accepted. */
export interface Incoming {
  readonly type: string
  readonly source: string
  readonly sessionKey: string
  /** With `message.received`: `{content, attachments?, sender?, metadata?}`. */
  readonly payload: JsonObject
  readonly priority?: Priority
  readonly idempotencyKey?: string
}

export type AcceptedEvent = Static<typeof Accepted>

export interface IntakeOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly hooks: Hooks
  readonly log: Log
  readonly observeEvent: (type: string, source: string) => void
  readonly observeRefusal: (reason: string) => void
}

/** The one door for everything that comes in (spec §3): permission, room, disk, lane, in this order. */
export class Intake {
  readonly #options: IntakeOptions

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /**
   * Resolves once the event is on disk.
   * @throws `FORBIDDEN` without permission, `UNAVAILABLE` without room or disk, `CONFLICT` when the idempotency key was
   * used for something else, `INVALID_REQUEST` for a message without content.
   */
  async accept(incoming: Incoming, principal: Principal): Promise<AcceptedEvent> {
    const { dispatcher, journal, hooks } = this.#options
    const { eventId, runId } = newEventIds()
    const event: Omit<InboundEvent, 'seq'> = {
      id: eventId,
      runId,
      type: incoming.type,
      source: incoming.source,
      sessionKey: incoming.sessionKey,
      at: Date.now(),
      payload: incoming.payload,
      priority: incoming.priority ?? (incoming.type === MESSAGE_RECEIVED ? 'chat' : 'system'),
      ...(incoming.idempotencyKey === undefined ? {} : { idempotencyKey: incoming.idempotencyKey }),
    }
    this.#permit(principal, event)
    if (hooks.has('message:received')) await this.#ask(event, principal)
    const message = this.#message(event)
    const digest = event.idempotencyKey === undefined ? undefined : digestOf(event)
    const bytes = message === null ? JSON.stringify(event.payload).length : message.payload.length

    let lane: ReturnType<typeof dispatcher.admit>
    try {
      lane = dispatcher.admit(event.sessionKey, bytes)
    } catch (refusal) {
      // A repeated send is answered even where a new one would find no room.
      const duplicate =
        digest === undefined ? null : await journal.findDuplicate(event.sessionKey, event.idempotencyKey!)
      if (duplicate === null) throw refusal
      return this.#repeat(duplicate, digest!)
    }
    const request = this.#request(event, message, digest)
    let result: Awaited<ReturnType<Journal['append']>>
    try {
      result = await journal.append(request)
    } catch (error) {
      dispatcher.release(lane, bytes)
      this.#options.observeRefusal('journal')
      throw error
    }
    if (result.duplicate !== null) {
      dispatcher.release(lane, bytes)
      return this.#repeat(result.duplicate, digest!)
    }
    const { seq } = result
    this.#stored(request)
    const task = new QueuedEvent({ ...event, seq }, bytes)
    const queued = lane.ahead(task.rank)
    dispatcher.enqueue(lane, task)
    return { eventId, seq, runId, queued }
  }

  /** The permission check that every event passes before anything is stored. */
  #permit(principal: Principal, event: Omit<InboundEvent, 'seq'>): void {
    if (principal.scopes.has('write') && principal.allowsSession(event.sessionKey)) return
    this.#options.observeRefusal('forbidden')
    this.#options.log.warn(
      { sessionKey: event.sessionKey, type: event.type, principal: principal.name },
      'event refused',
    )
    throw new GatewayError('FORBIDDEN', 'These credentials may not send events to that session.')
  }

  async #ask(event: Omit<InboundEvent, 'seq'>, principal: Principal): Promise<void> {
    try {
      await this.#options.hooks.check({ event, principal })
    } catch (error) {
      this.#options.observeRefusal('hook')
      this.#options.log.warn(
        { err: error, sessionKey: event.sessionKey, type: event.type },
        'event refused by a hook',
      )
      if (error instanceof GatewayError) throw error
      throw new GatewayError('FORBIDDEN', 'The event was refused.', { cause: error })
    }
  }

  /** What a message adds to the conversation; null for other events. */
  #message(event: Omit<InboundEvent, 'seq'>): Entry | null {
    if (event.type !== MESSAGE_RECEIVED) return null
    const { content, attachments, sender, metadata } = event.payload
    if (typeof content !== 'string' || content === '') {
      throw new GatewayError(
        'INVALID_REQUEST',
        'payload.content: expected a string of at least 1 character',
        {
          details: { path: 'payload.content' },
        },
      )
    }
    const message = {
      messageId: newMessageId(),
      role: 'user',
      content,
      attachments,
      eventId: event.id,
      runId: event.runId,
      sender,
      metadata,
    }
    return entry(EVENTS.sessionMessage.name, event.sessionKey, event.at, message)
  }

  #request(
    event: Omit<InboundEvent, 'seq'>,
    message: Entry | null,
    digest: string | undefined,
  ): AppendRequest {
    const { sessions } = this.#options
    const entries = message === null ? [] : [message]
    if (sessions.cached(event.sessionKey) !== undefined) return { event, entries, digest }
    const record = newSessionRecord(event.sessionKey, event.at)
    return { event, entries, digest, create: { record, entry: sessions.createdEntry(record, true) } }
  }

  #stored({ event, create }: AppendRequest): void {
    const { sessions, observeEvent } = this.#options
    observeEvent(event.type, event.source)
    const cached = sessions.cached(event.sessionKey)
    if (cached !== undefined) sessions.touched(cached, event.at)
    // Whether it was this append that made the session, the journal alone knows: the next run reads the record.
    else if (create !== undefined) sessions.activityChanged()
  }

  #repeat(duplicate: Duplicate, digest: string): AcceptedEvent {
    if (duplicate.digest !== digest) {
      throw new GatewayError('CONFLICT', 'This idempotency key was used for another event.', {
        details: { eventId: duplicate.eventId },
      })
    }
    const { eventId, runId, seq } = duplicate
    return { eventId, runId, seq, queued: 0, duplicate: true }
  }
}

/** What makes two events with the same key the same. */
function digestOf({ type, payload, priority }: Omit<InboundEvent, 'seq'>): string {
  return createHash('sha256')
    .update(JSON.stringify([type, payload, priority]))
    .digest('base64url')
}
