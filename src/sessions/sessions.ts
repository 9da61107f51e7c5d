import type { Principal } from '../auth/principal.js'
import type { Entry, Journal, SessionRecord } from '../journal/journal.js'
import { compareSessions } from '../journal/order.js'
import { type SessionPage, type SessionQuery, sessionPage } from '../journal/session-list.js'
import {
  EVENTS,
  GatewayError,
  type JsonObject,
  type QueueMode,
  type SessionSummary,
} from '../protocol/index.js'
import { literalPrefix } from '../protocol/pattern.js'
import { decodeCursor, encodeCursor } from './cursor.js'
import { Turns } from './turns.js'

export interface SessionSettings {
  title?: string | null
  agent?: string | null
  queueMode?: QueueMode | null
  metadata?: JsonObject
}

export interface SessionsOptions {
  readonly journal: Journal
  /** Records kept in memory. */
  readonly cacheSize: number
  /** Whether a session's lane has work. */
  readonly isActive: (key: string) => boolean
  /** Keys of the sessions whose lanes have work. */
  readonly activeKeys: () => Iterable<string>
  /** @throws when there is no such agent. */
  readonly requireAgent: (name: string) => void
  /** A session is gone; nothing may remember it any longer. */
  readonly onDeleted: (key: string) => void
}

export interface ListOptions {
  channel?: string
  agent?: string
  active?: boolean
  /** Milliseconds since the Unix epoch. */
  updatedSince?: number
  limit?: number
  cursor?: string
}

const SNAPSHOT_SIZE = 50
const DEFAULT_PAGE = 50

/** The channel of a session: the first segment of its key. */
export function channelOf(sessionKey: string): string {
  const colon = sessionKey.indexOf(':')
  return colon === -1 ? sessionKey : sessionKey.slice(0, colon)
}

/** A record for a session that is about to be made. */
export function newSessionRecord(key: string, at: number, settings: SessionSettings = {}): SessionRecord {
  return {
    key,
    channel: channelOf(key),
    title: settings.title ?? null,
    agent: settings.agent ?? null,
    queueMode: settings.queueMode ?? null,
    metadata: settings.metadata ?? {},
    paused: false,
    createdAt: at,
    updatedAt: at,
    resetSeq: 0,
  }
}

/** Session state (spec §2, `sessions.*`): everything lives in the journal, the cache only spares reads. */
export class Sessions {
  readonly #options: SessionsOptions
  readonly #journal: Journal
  /** Least recently used first. */
  readonly #cache = new Map<string, SessionRecord>()
  /** A change reads before it writes: those of one session happen one after the other. */
  readonly #changes = new Turns()
  #snapshot: Promise<string> | null = null

  constructor(options: SessionsOptions) {
    this.#options = options
    this.#journal = options.journal
  }

  /** The record where it is known to be stored, without a read. */
  cached(key: string): SessionRecord | undefined {
    return this.#cache.get(key)
  }

  async find(key: string): Promise<SessionRecord | null> {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const record = await this.#journal.session(key)
    // While the session changes, only the change itself knows what to remember.
    if (record !== null && !this.#changes.has(key)) this.#remember(record)
    return record
  }

  /** @throws `NOT_FOUND`. */
  async require(key: string): Promise<SessionRecord> {
    const record = await this.find(key)
    if (record === null)
      throw new GatewayError('NOT_FOUND', 'There is no such session.', { details: { sessionKey: key } })
    return record
  }

  /** Resolves when the changes of this session that are under way have ended; null: there are none. */
  changing(key: string): Promise<void> | null {
    return this.#changes.end(key)
  }

  /** An event of this session was stored. */
  touched(key: string, at: number): void {
    const cached = this.#cache.get(key)
    if (cached !== undefined) this.#remember({ ...cached, updatedAt: Math.max(at, cached.updatedAt) })
    this.#snapshot = null
  }

  /** A lane of a session got or lost its work. */
  activityChanged(): void {
    this.#snapshot = null
  }

  summary(record: SessionRecord): SessionSummary {
    const { key, channel, title, agent, queueMode, metadata, createdAt, updatedAt } = record
    const active = this.#options.isActive(key)
    return { key, channel, title, agent, queueMode, metadata, createdAt, updatedAt, active }
  }

  /** The log entry of a session that comes into being. */
  createdEntry(record: SessionRecord, active: boolean): Entry {
    const session = { ...this.summary(record), active }
    return entry(EVENTS.sessionCreated.name, record.key, record.createdAt, { session })
  }

  /** @throws `CONFLICT` when there is one, `NOT_FOUND` when there is no such agent. */
  create(key: string, settings: SessionSettings): Promise<SessionSummary> {
    return this.#changes.take(key, async () => {
      // A lane without a session: its first event is on its way to the disk and makes one.
      if ((await this.find(key)) !== null || this.#options.isActive(key)) {
        throw conflict(key, 'There is such a session already.')
      }
      if (settings.agent) this.#options.requireAgent(settings.agent)
      const record = newSessionRecord(key, Date.now(), settings)
      return this.summary(await this.#save(record, [this.createdEntry(record, false)]))
    })
  }

  /** @throws `NOT_FOUND` when there is no such session or agent. */
  patch(key: string, settings: SessionSettings): Promise<SessionSummary> {
    return this.#changes.take(key, async () => {
      const before = await this.require(key)
      if (settings.agent) this.#options.requireAgent(settings.agent)
      const record: SessionRecord = {
        ...before,
        title: settings.title === undefined ? before.title : settings.title,
        agent: settings.agent === undefined ? before.agent : settings.agent,
        queueMode: settings.queueMode === undefined ? before.queueMode : settings.queueMode,
        metadata: merge(before.metadata, settings.metadata),
        updatedAt: Date.now(),
      }
      return this.summary(await this.#save(record, [this.#updatedEntry(record)]))
    })
  }

  /** Earlier messages leave the conversation. @throws `NOT_FOUND`. */
  reset(key: string): Promise<SessionSummary> {
    return this.#changes.take(key, async () => {
      const record = { ...(await this.require(key)), updatedAt: Date.now() }
      return this.summary(await this.#save(record, [this.#updatedEntry(record, true)], true))
    })
  }

  /** Whether its lane stands still, over restarts, too. @throws `NOT_FOUND`. */
  setPaused(key: string, paused: boolean): Promise<void> {
    return this.#changes.take(key, async () => {
      await this.#save({ ...(await this.require(key)), paused }, [])
    })
  }

  /** @throws `NOT_FOUND`, or `CONFLICT` while its lane has work. */
  delete(key: string): Promise<void> {
    return this.#changes.take(key, async () => {
      await this.require(key)
      if (this.#options.isActive(key)) throw conflict(key, 'The session’s lane has work; abort it first.')
      await this.#remove(key, 'deleted')
    })
  }

  /** Ends a session that was not used since `cutoff`; one that is at work or is gone stays as it is. */
  expire(key: string, cutoff: number): Promise<void> {
    return this.#changes.take(key, async () => {
      const record = await this.find(key)
      if (record !== null && record.updatedAt <= cutoff && !this.#options.isActive(key)) {
        await this.#remove(key, 'expired')
      }
    })
  }

  async #remove(key: string, reason: 'deleted' | 'expired'): Promise<void> {
    // Forgotten first: an event that comes from here on makes the session anew.
    this.#cache.delete(key)
    await this.#journal.deleteSession(key, [entry(EVENTS.sessionEnded.name, key, Date.now(), { reason })])
    this.#snapshot = null
    this.#options.onDeleted(key)
  }

  async list(
    principal: Principal,
    options: ListOptions,
  ): Promise<{ sessions: SessionSummary[]; nextCursor: string | null }> {
    const { limit = DEFAULT_PAGE, channel, agent, active, updatedSince: since, cursor } = options
    const before = cursor === undefined ? undefined : decodeCursor(cursor)
    const query: SessionQuery = { limit, channel, agent, since, before }
    const { sessions, next } = active
      ? await this.#active(principal, query)
      : await this.#journal.sessions(this.#confined(principal, query, active))
    return {
      sessions: sessions.map((record) => this.summary(record)),
      nextCursor: next === null ? null : encodeCursor(next),
    }
  }

  /** JSON text of the sessions that a principal may see, most recent first; made once for all who see everything. */
  async snapshot(principal: Principal): Promise<string> {
    if (principal.sessions !== null) return this.#makeSnapshot(principal)
    if (this.#snapshot !== null) return this.#snapshot
    const snapshot = this.#makeSnapshot(principal)
    this.#snapshot = snapshot
    snapshot.catch(() => {
      if (this.#snapshot === snapshot) this.#snapshot = null
    })
    return snapshot
  }

  async #makeSnapshot(principal: Principal): Promise<string> {
    const { sessions } = await this.#journal.sessions(this.#confined(principal, { limit: SNAPSHOT_SIZE }))
    return JSON.stringify(sessions.map((record) => this.summary(record)))
  }

  /** What of it the principal may see, and where the journal has to look for that. */
  #confined(principal: Principal, query: SessionQuery, active?: boolean): SessionQuery {
    const { sessions: patterns } = principal
    const { isActive } = this.#options
    if (patterns === null) {
      return active === undefined ? query : { ...query, accept: (key) => isActive(key) === active }
    }
    const accept = (key: string) =>
      principal.allowsSession(key) && (active === undefined || isActive(key) === active)
    const prefixes = patterns.map(literalPrefix)
    const channels = new Set(prefixes.map((prefix) => (prefix.includes(':') ? channelOf(prefix) : undefined)))
    const channel = query.channel ?? (channels.size === 1 ? [...channels][0] : undefined)
    return { ...query, channel, accept, prefixes }
  }

  /** Sessions at work are few: looked up by key rather than searched for among all. */
  async #active(principal: Principal, query: SessionQuery): Promise<SessionPage> {
    const { limit, channel, agent, since = 0, before } = query
    const records: SessionRecord[] = []
    for (const key of this.#options.activeKeys()) {
      if (!principal.allowsSession(key)) continue
      const record = await this.find(key)
      if (record === null || record.updatedAt < since) continue
      if (channel !== undefined && record.channel !== channel) continue
      if (agent !== undefined && record.agent !== agent) continue
      if (before !== undefined && compareSessions(record, before) <= 0) continue
      records.push(record)
    }
    return sessionPage(records.sort(compareSessions), limit, null)
  }

  async #save(record: SessionRecord, entries: readonly Entry[], reset = false): Promise<SessionRecord> {
    const saved = await this.#journal.saveSession(record, entries, { reset })
    this.#remember(saved)
    this.#snapshot = null
    return saved
  }

  #updatedEntry(record: SessionRecord, reset?: boolean): Entry {
    return entry(EVENTS.sessionUpdated.name, record.key, record.updatedAt, {
      session: this.summary(record),
      ...(reset === undefined ? {} : { reset }),
    })
  }

  #remember(record: SessionRecord): void {
    this.#cache.delete(record.key)
    this.#cache.set(record.key, record)
    if (this.#cache.size > this.#options.cacheSize) this.#cache.delete(this.#cache.keys().next().value!)
  }
}

function merge(metadata: JsonObject, changes: JsonObject | undefined): JsonObject {
  if (changes === undefined) return metadata
  return Object.fromEntries(Object.entries({ ...metadata, ...changes }).filter(([, value]) => value !== null))
}

export function entry(event: string, sessionKey: string | null, at: number, payload: unknown): Entry {
  return { event, sessionKey, at, payload: JSON.stringify(payload) }
}

function conflict(sessionKey: string, message: string): GatewayError {
  return new GatewayError('CONFLICT', message, { details: { sessionKey } })
}
