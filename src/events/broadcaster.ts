import type { Principal } from '../auth/principal.js'
import type { SharedFrame } from '../connection/outbox.js'
import { compilePatterns } from '../protocol/pattern.js'
import { encodeEvent, type OutgoingEvent } from './event-frame.js'
import { type Group, Groups, maySee } from './groups.js'

/** Whoever receives events: a connection, or a listener in the process. */
export interface Subscriber {
  readonly principal: Principal
  sendEvent(frame: SharedFrame): void
}

export interface Selection {
  readonly patterns: readonly string[]
  /** Null: every session that the subscriber may see. */
  readonly sessionKeys: readonly string[] | null
}

export const EVERYTHING: Selection = { patterns: ['*'], sessionKeys: null }

/** Whether one of the selections wants an event; rights are `maySee`'s. For replays. */
export function compileSelections(
  selections: readonly Selection[],
): (event: string, sessionKey: string | null) => boolean {
  const predicates = selections.map(({ patterns, sessionKeys }) => {
    const matches = compilePatterns(patterns)
    if (sessionKeys === null) return matches
    const keys = new Set<string | null>(sessionKeys)
    return (event: string, sessionKey: string | null) => keys.has(sessionKey) && matches(event)
  })
  return (event, sessionKey) => predicates.some((wants) => wants(event, sessionKey))
}

interface Entry {
  selections: readonly Selection[]
  /** Receives nothing yet: a replay comes first. */
  held: boolean
  group: Group | null
  /** Keys of the selections that name sessions, with what they want there. */
  keyed: Map<string, (event: string) => boolean> | null
}

/**
 * Sends events to those who want and may see them. Indexed by event name and by session key, so that an event costs what
 * its receivers cost, however many others are connected.
 */
export class Broadcaster {
  /** Counters that only grow. */
  readonly stats = { events: 0, deliveries: 0 }
  readonly #entries = new Map<Subscriber, Entry>()
  readonly #groups = new Groups()
  readonly #byKey = new Map<string, Set<Subscriber>>()

  /** Sets what a subscriber receives, replacing what it received before. No selections: nothing. */
  subscribe(subscriber: Subscriber, selections: readonly Selection[]): void {
    const held = this.#entries.get(subscriber)?.held ?? false
    this.unsubscribe(subscriber)
    const entry: Entry = { selections, held, group: null, keyed: null }
    this.#entries.set(subscriber, entry)
    if (!held) this.#activate(subscriber, entry)
  }

  /** The same for a subscriber that receives nothing before `release`. */
  hold(subscriber: Subscriber, selections: readonly Selection[]): void {
    this.unsubscribe(subscriber)
    this.#entries.set(subscriber, { selections, held: true, group: null, keyed: null })
  }

  /** From here on a subscriber that was held receives what it is subscribed to now. */
  release(subscriber: Subscriber): void {
    const entry = this.#entries.get(subscriber)
    if (entry === undefined || !entry.held) return
    entry.held = false
    this.#activate(subscriber, entry)
  }

  unsubscribe(subscriber: Subscriber): void {
    const entry = this.#entries.get(subscriber)
    if (entry === undefined) return
    this.#entries.delete(subscriber)
    if (entry.group !== null) this.#groups.leave(subscriber, entry.group)
    for (const key of entry.keyed?.keys() ?? []) {
      const subscribers = this.#byKey.get(key)
      subscribers?.delete(subscriber)
      if (subscribers?.size === 0) this.#byKey.delete(key)
    }
  }

  selections(subscriber: Subscriber): readonly Selection[] {
    return this.#entries.get(subscriber)?.selections ?? []
  }

  /** Sends an event to its receivers. It is serialised only when there is one. `payload` is JSON text. */
  broadcast(event: OutgoingEvent, droppable = false): void {
    this.stats.events++
    let frame: SharedFrame | null = null
    const { sessionKey } = event
    for (const group of this.#groups.of(event.event, sessionKey)) {
      frame ??= encodeEvent(event, droppable)
      for (const member of group.members) member.sendEvent(frame)
      this.stats.deliveries += group.members.size
    }
    const subscribers = sessionKey === null ? undefined : this.#byKey.get(sessionKey)
    if (subscribers === undefined) return
    for (const subscriber of subscribers) {
      const entry = this.#entries.get(subscriber)!
      if (!entry.keyed!.get(sessionKey!)!(event.event)) continue
      if (entry.group?.wants(event.event) || !maySee(subscriber.principal, event.event, sessionKey)) continue
      frame ??= encodeEvent(event, droppable)
      subscriber.sendEvent(frame)
      this.stats.deliveries++
    }
  }

  #activate(subscriber: Subscriber, entry: Entry): void {
    const patterns = entry.selections
      .filter((selection) => selection.sessionKeys === null)
      .flatMap((selection) => selection.patterns)
    if (patterns.length > 0) entry.group = this.#groups.join(subscriber, patterns)
    for (const selection of entry.selections) {
      for (const key of selection.sessionKeys ?? []) this.#addKey(subscriber, entry, key, selection.patterns)
    }
  }

  #addKey(subscriber: Subscriber, entry: Entry, key: string, patterns: readonly string[]): void {
    const matches = compilePatterns(patterns)
    entry.keyed ??= new Map()
    const before = entry.keyed.get(key)
    entry.keyed.set(key, before === undefined ? matches : (event) => before(event) || matches(event))
    let subscribers = this.#byKey.get(key)
    if (subscribers === undefined) {
      subscribers = new Set()
      this.#byKey.set(key, subscribers)
    }
    subscribers.add(subscriber)
  }
}
