import type { Principal } from '../auth/principal.js'
import { EVENTS, type EventContract } from '../protocol/events.js'
import { compilePatterns, literalPrefix } from '../protocol/pattern.js'
import type { Subscriber } from './broadcaster.js'

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
export class Group {
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

/** Names of events that are kept in mind; those that plugins make up may be many. */
const MAX_NAMES = 1_000

/** The groups that there are, found by what they want and may see, so that those who may not cost an event nothing. */
export class Groups {
  readonly #byId = new Map<string, Group>()
  readonly #byEvent = new Map<string, Audience>()

  join(subscriber: Subscriber, patterns: readonly string[]): Group {
    const unique = patterns.includes('*') ? ['*'] : [...new Set(patterns)].sort()
    const { principal } = subscriber
    const id = rightsOf(principal) + JSON.stringify(unique)
    let group = this.#byId.get(id)
    if (group === undefined) {
      group = new Group(id, principal, unique)
      this.#byId.set(id, group)
      for (const audience of this.#byEvent.values()) audience.add(group)
    }
    group.members.add(subscriber)
    return group
  }

  leave(subscriber: Subscriber, group: Group): void {
    group.members.delete(subscriber)
    if (group.members.size > 0) return
    this.#byId.delete(group.id)
    for (const audience of this.#byEvent.values()) audience.delete(group)
  }

  /** Those that want and may see an event. */
  of(event: string, sessionKey: string | null): Iterable<Group> {
    let audience = this.#byEvent.get(event)
    if (audience === undefined) {
      if (this.#byEvent.size === MAX_NAMES) this.#byEvent.clear()
      audience = new Audience(event)
      for (const group of this.#byId.values()) audience.add(group)
      this.#byEvent.set(event, audience)
    }
    return audience.of(sessionKey)
  }
}

/** The groups that want events of one name. */
class Audience {
  readonly #open = new Set<Group>()
  readonly #confined = new Set<Group>()
  /** Groups that are confined to some sessions, by where in the tree of session keys they may see something. */
  readonly #byPlace = new Map<string, Set<Group>>()

  constructor(private readonly event: string) {}

  add(group: Group): void {
    if (!group.wants(this.event)) return
    const { sessions } = group.principal
    if (sessions === null) {
      this.#open.add(group)
      return
    }
    this.#confined.add(group)
    for (const place of sessions.map(placeOfPattern)) {
      const there = this.#byPlace.get(place)
      if (there === undefined) this.#byPlace.set(place, new Set([group]))
      else there.add(group)
    }
  }

  delete(group: Group): void {
    if (this.#open.delete(group) || !this.#confined.delete(group)) return
    for (const place of group.principal.sessions!.map(placeOfPattern)) {
      const there = this.#byPlace.get(place)
      there?.delete(group)
      if (there?.size === 0) this.#byPlace.delete(place)
    }
  }

  of(sessionKey: string | null): Iterable<Group> {
    if (this.#confined.size === 0) return this.#open
    const found = new Set(this.#open)
    const look = (groups: Iterable<Group> = []) => {
      for (const group of groups) if (maySee(group.principal, this.event, sessionKey)) found.add(group)
    }
    if (sessionKey === null) look(this.#confined)
    else for (const place of placesOfKey(sessionKey)) look(this.#byPlace.get(place))
    return found
  }
}

/** Where all keys are that a pattern matches: a key, or what keys begin with, up to a colon. */
function placeOfPattern(pattern: string): string {
  const prefix = literalPrefix(pattern)
  return prefix === pattern ? pattern : prefix.slice(0, prefix.lastIndexOf(':') + 1)
}

/** Every place that a key is in. */
function placesOfKey(sessionKey: string): Set<string> {
  const places = new Set(['', sessionKey])
  for (let at = sessionKey.indexOf(':'); at !== -1; at = sessionKey.indexOf(':', at + 1)) {
    places.add(sessionKey.slice(0, at + 1))
  }
  return places
}
