import type { Principal } from '../auth/principal.js'
import type { SharedFrame } from '../connection/outbox.js'
import { EVENTS, type EventContract } from '../protocol/events.js'
import { compilePatterns } from '../protocol/pattern.js'
import { encodeEvent, type OutgoingEvent } from './event-frame.js'

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

const contracts = new Map<string, EventContract>(Object.values(EVENTS).map((event) => [event.name, event]))

/** Whether `principal` may see an event, by its scope and its session-key patterns (spec §5). */
export function maySee(principal: Principal, event: string, sessionKey: string | null): boolean {
  const contract = contracts.get(event)
  const scope = contract === undefined ? 'read' : contract.scope
  if (scope !== null && !principal.scopes.has(scope)) return false
  if (sessionKey !== null) return principal.allowsSession(sessionKey)
  // What concerns the whole gateway and needs a scope is not for someone confined to some sessions.
  return scope === null || principal.sessions === null
}

const rights = new WeakMap<Principal, string>()

/** The same for all who may see the same. */
function rightsOf(principal: Principal): string {
  let text = rights.get(principal)
  if (text === undefined) {
    text = JSON.stringify([[...principal.scopes].sort(), principal.sessions])
    rights.set(principal, text)
  }
  return text
}

/** Subscribers with the same rights and the same patterns: one decision serves all of them. */
class Group {
  readonly members = new Set<Subscriber>()
  readonly #matches: (event: string) => boolean

  constructor(
    readonly id: string,
    readonly principal: Principal,
    patterns: readonly string[],
  ) {
    this.#matches = compilePatterns(patterns)
  }

  /** By name and scope; the session is looked at for each event. */
  wants(event: string): boolean {
    const contract = contracts.get(event)
    const scope = contract === undefined ? 'read' : contract.scope
    return (scope === null || this.principal.scopes.has(scope)) && this.#matches(event)
  }
}

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
  readonly #groups = new Map<string, Group>()
  readonly #groupsByEvent = new Map<string, Group[]>()
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
    if (entry.group !== null) this.#leave(subscriber, entry.group)
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
    for (const group of this.#groupsFor(event.event)) {
      if (!maySee(group.principal, event.event, sessionKey)) continue
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

  /** The groups that want an event of this name; remembered until groups come or go. */
  #groupsFor(event: string): Group[] {
    let groups = this.#groupsByEvent.get(event)
    if (groups === undefined) {
      groups = [...this.#groups.values()].filter((group) => group.wants(event))
      this.#groupsByEvent.set(event, groups)
    }
    return groups
  }

  #activate(subscriber: Subscriber, entry: Entry): void {
    const patterns = entry.selections
      .filter((selection) => selection.sessionKeys === null)
      .flatMap((selection) => selection.patterns)
    if (patterns.length > 0) entry.group = this.#join(subscriber, patterns)
    for (const selection of entry.selections) {
      for (const key of selection.sessionKeys ?? []) this.#addKey(subscriber, entry, key, selection.patterns)
    }
  }

  #join(subscriber: Subscriber, patterns: readonly string[]): Group {
    const unique = patterns.includes('*') ? ['*'] : [...new Set(patterns)].sort()
    const { principal } = subscriber
    const id = rightsOf(principal) + JSON.stringify(unique)
    let group = this.#groups.get(id)
    if (group === undefined) {
      group = new Group(id, principal, unique)
      this.#groups.set(id, group)
      this.#groupsByEvent.clear()
    }
    group.members.add(subscriber)
    return group
  }

  #leave(subscriber: Subscriber, group: Group): void {
    group.members.delete(subscriber)
    if (group.members.size > 0) return
    this.#groups.delete(group.id)
    this.#groupsByEvent.clear()
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
