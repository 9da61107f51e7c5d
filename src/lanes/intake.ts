import { createHash } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { ANONYMOUS, type Principal } from '../auth/principal.js'
import type { Hooks } from '../hooks/hooks.js'
import { newEventIds, newMessageId } from '../journal/ids.js'
import type { AppendRequest, AppendResult, Duplicate, Entry, Journal } from '../journal/journal.js'
import type { Log } from '../log.js'
import {
  type Accepted,
  cronOrigin,
  EVENTS,
  GatewayError,
  type InboundEvent,
  type JsonObject,
  MESSAGE_RECEIVED,
  Message,
  type Priority,
} from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import { entry, newSessionRecord, type Sessions } from '../sessions/sessions.js'
import { Turns } from '../sessions/turns.js'
import { acceptSpan, during } from '../tracing/spans.js'
import type { Traced } from '../tracing/trace-context.js'
import { tracedLog } from '../tracing/traced-log.js'
import { CARRYING, NO_SPAN, type Tracing } from '../tracing/tracing.js'
import { Refusal } from './admission.js'
import type { LaneDispatcher } from './dispatcher.js'
import type { Lane, Place } from './lane.js'
import type { Outcomes } from './outcomes.js'
import { QueuedEvent } from './queued-event.js'

/** An event that asks to be accepted. */
export interface Incoming extends Traced {
  readonly type: string
  readonly source: string
  readonly sessionKey: string
  /** With `message.received`: `{content, attachments?, sender?, metadata?}`. */
  readonly payload: JsonObject
  readonly priority?: Priority
  readonly idempotencyKey?: string
  /** Where it comes from, such as a connection's id: tells senders apart while authentication is off. */
  readonly origin?: string
}

export type AcceptedEvent = Static<typeof Accepted>

export interface IntakeOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly outcomes: Outcomes
  readonly hooks: Hooks
  /** An event waits in its lane, or runs already. */
  readonly onQueued: (lane: Lane<QueuedEvent>) => void
  readonly log: Log
  readonly observeEvent: (type: string, source: string) => void
  readonly observeRefusal: (reason: string) => void
  /** Default: trace contexts are carried on. */
  readonly tracing?: Tracing
}

type NewEvent = Omit<InboundEvent, 'seq'>

const { attachments, sender, metadata } = Message.properties

/** The payload of `message.received`: what of it goes into the conversation has the shape that clients expect there. */
const validateMessage = compileValidator(
  Type.Object({ content: Type.String({ minLength: 1 }), attachments, sender, metadata }),
  'payload',
)

/** The one door for everything that comes in (spec §3): permission, room, hooks, disk, lane, in this order. */
export class Intake {
  readonly #options: IntakeOptions
  /** However long its hooks take, the order of a session is that of arrival. */
  readonly #asking = new Turns()
  /** Payload of the events that wait for a change of their session. */
  #changingBytes = 0

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /**
   * Resolves once the event is on disk.
   * @throws `FORBIDDEN` without permission, `UNAVAILABLE` without room or disk, `RATE_LIMITED` when the sender's share of the
   * room is taken, `CONFLICT` when the idempotency key was
   * used for something else, `INVALID_REQUEST` for a message without content, or what a hook refuses with.
   */
  accept(incoming: Incoming, principal: Principal): Promise<AcceptedEvent> {
    const event = newEvent(incoming)
    const span = acceptSpan(this.#options.tracing ?? CARRYING, event, incoming)
    if (span === NO_SPAN) return this.#accept(event, incoming, principal)
    Object.assign(event, span.trace)
    return during(span, async () => {
      const accepted = await this.#accept(event, incoming, principal)
      // Whose run it is, and where the rest of its trace is.
      if (accepted.duplicate) span.set({ 'lurkbot.duplicate_of': accepted.eventId })
      return accepted
    })
  }

  async #accept(event: NewEvent, incoming: Incoming, principal: Principal): Promise<AcceptedEvent> {
    const { dispatcher } = this.#options
    this.#permit(principal, event)
    if (event.type === MESSAGE_RECEIVED) validateMessage(event.payload)
    const payload = JSON.stringify(event.payload)
    // Of what was sent, before a hook changes it: a repeated send is the same again.
    const digest = event.idempotencyKey === undefined ? undefined : digestOf(event, payload)

    // What was asked for before holds for this event: it goes to the session's new agent.
    const changing = this.#options.sessions.changing(event.sessionKey)
    if (changing !== null) await this.#change(changing, payload.length)
    const sender = dispatcher.sender(senderName(principal, incoming))
    const place: Place = { bytes: payload.length, sender }
    let lane: Lane<QueuedEvent>
    try {
      lane = dispatcher.admit(event.sessionKey, place)
    } catch (refusal) {
      // A repeated send is answered even where a new one would find no room.
      const duplicate = digest === undefined ? null : await this.#duplicate(event)
      if (duplicate !== null) return this.#repeated(duplicate, digest!)
      if (refusal instanceof Refusal) dispatcher.refused(refusal)
      throw refusal
    }
    let result: AppendResult
    try {
      result = await this.#store(event, payload, principal, digest)
    } catch (error) {
      dispatcher.release(lane, place)
      throw error
    }
    if (result.duplicate !== null) {
      dispatcher.release(lane, place)
      return this.#repeated(result.duplicate, digest!)
    }
    this.#options.observeEvent(event.type, event.source)
    this.#options.sessions.touched(event.sessionKey, event.at)
    const { seq } = result
    const task = new QueuedEvent({ ...event, seq }, payload.length, sender)
    const queued = lane.ahead(task.rank)
    dispatcher.enqueue(lane, task)
    this.#options.onQueued(lane)
    return { eventId: event.id, seq, runId: event.runId, queued }
  }

  /** @throws `CONFLICT` when the key stands for something else. */
  async #repeated({ eventId, runId, seq, digest }: Duplicate, expected: string): Promise<AcceptedEvent> {
    if (digest === expected) {
      const outcome = await this.#options.outcomes.find(runId)
      return {
        eventId,
        runId,
        seq,
        queued: 0,
        duplicate: true,
        ...(outcome === undefined ? {} : { outcome }),
      }
    }
    throw new GatewayError('CONFLICT', 'This idempotency key was used for another event.', {
      details: { eventId },
    })
  }

  /** Waits for a session's change; what waits here has no place yet, so it has a bound of its own: that of all places. */
  async #change(changing: Promise<void>, bytes: number): Promise<void> {
    const { dispatcher } = this.#options
    if (this.#changingBytes + bytes > dispatcher.limits.maxPendingBytes && this.#changingBytes > 0) {
      const refusal = new Refusal('gateway_full', 'too many events wait for a change of their session', 1_000)
      dispatcher.refused(refusal)
      throw refusal
    }
    this.#changingBytes += bytes
    await changing
    this.#changingBytes -= bytes
  }

  #duplicate({ sessionKey, idempotencyKey }: NewEvent): Promise<Duplicate | null> {
    return this.#options.journal.findDuplicate(sessionKey, idempotencyKey!)
  }

  /** The permission check that every event passes before anything is stored. */
  #permit(principal: Principal, event: NewEvent): void {
    if (principal.scopes.has('write') && principal.allowsSession(event.sessionKey)) return
    this.#options.observeRefusal('forbidden')
    tracedLog(this.#options.log, event).warn(
      { sessionKey: event.sessionKey, type: event.type, principal: principal.name },
      'event refused',
    )
    throw new GatewayError('FORBIDDEN', 'These credentials may not send events to that session.')
  }

  #store(
    event: NewEvent,
    payload: string,
    principal: Principal,
    digest: string | undefined,
  ): Promise<AppendResult> {
    if (!this.#options.hooks.has('message:received')) return this.#append(event, digest, payload)
    return this.#asking.take(event.sessionKey, async () => {
      await this.#ask(event, principal)
      return this.#append(event, digest)
    })
  }

  async #ask(event: NewEvent, principal: Principal): Promise<void> {
    try {
      event.payload = await this.#options.hooks.check({ event: { ...event }, principal })
      if (event.type === MESSAGE_RECEIVED) validateMessage(event.payload)
    } catch (error) {
      this.#options.observeRefusal('hook')
      tracedLog(this.#options.log, event).warn(
        { err: error, sessionKey: event.sessionKey, type: event.type },
        'event refused by a hook',
      )
      if (error instanceof GatewayError) throw error
      throw new GatewayError('FORBIDDEN', 'The event was refused.', { cause: error })
    }
  }

  /** `payload`: its JSON text, unless a hook may have changed it. */
  async #append(event: NewEvent, digest: string | undefined, payload?: string): Promise<AppendResult> {
    const { sessions, journal } = this.#options
    const entries = event.type === MESSAGE_RECEIVED ? [messageEntry(event)] : noteOf(event)
    const isStored = sessions.cached(event.sessionKey) !== undefined
    const create = isStored ? undefined : this.#creation(event)
    try {
      return await journal.append({ event, payload, entries, digest, create })
    } catch (error) {
      this.#options.observeRefusal('journal')
      throw error
    }
  }

  /** What the session begins with, should this be its first event: that the journal alone knows. */
  #creation({ sessionKey, at }: NewEvent): AppendRequest['create'] {
    const record = newSessionRecord(sessionKey, at)
    return { record, entry: this.#options.sessions.createdEntry(record, true) }
  }
}

/** Under which name an event is counted. While authentication is off all are the same principal: there a connection counts. */
function senderName(principal: Principal, { origin }: Incoming): string {
  return principal === ANONYMOUS && origin !== undefined ? origin : principal.name
}

function newEvent(incoming: Incoming): NewEvent {
  const { type, source, sessionKey, payload, idempotencyKey } = incoming
  const { eventId, runId } = newEventIds()
  const { priority = type === MESSAGE_RECEIVED ? 'chat' : 'system' } = incoming
  const event = { id: eventId, runId, type, source, sessionKey, at: Date.now(), payload, priority }
  return idempotencyKey === undefined ? event : { ...event, idempotencyKey }
}

/** What a message adds to the conversation. */
function messageEntry({ id, runId, sessionKey, at, payload }: NewEvent): Entry {
  const { content, attachments, sender, metadata } = payload
  const messageId = newMessageId()
  const message = { messageId, role: 'user', content, attachments, eventId: id, runId, sender, metadata }
  return entry(EVENTS.sessionMessage.name, sessionKey, at, message)
}

/** What a scheduled job wants the agent to know becomes part of the conversation as well. */
function noteOf(event: NewEvent): Entry[] {
  const { id: eventId, runId, sessionKey, at, payload } = event
  const { text: content } = payload
  if (cronOrigin(event) === null || typeof content !== 'string') return []
  const message = { messageId: newMessageId(), role: 'system', content, eventId, runId }
  return [entry(EVENTS.sessionMessage.name, sessionKey, at, message)]
}

/** What makes two events with the same key the same. */
function digestOf({ type, priority }: NewEvent, payload: string): string {
  return createHash('sha256').update(`${type}\n${priority}\n${payload}`).digest('base64url')
}
