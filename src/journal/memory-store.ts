import { MESSAGE_EVENT } from './apply.js'
import type { StoredEntry } from './journal.js'
import type { MaintenanceStep } from './maintenance.js'
import { MemoryDocuments } from './memory-documents.js'
import { MemoryOutbox } from './memory-outbox.js'
import { type EndRow, type EventRow, type KeyRow, type SessionRow, STATUS, type Store } from './store.js'

export type MemoryEvent = EventRow & EndRow

/** Of an event that waits. */
const WAITING: EndRow = {
  status: STATUS.pending,
  attempts: 0,
  error: null,
  replySeq: null,
  mergedInto: null,
  doneAt: 0,
}

/** The tables of the SQLite journal as maps. */
export class MemoryStore implements Store {
  lastSeq = 0
  readonly outbox = new MemoryOutbox()
  readonly documents = new MemoryDocuments()
  /** In order of `seq`. */
  entries: StoredEntry[] = []
  readonly events = new Map<string, MemoryEvent>()
  readonly sessions = new Map<string, SessionRow>()
  /** The messages of sessions that are there. */
  readonly messages = new Set<StoredEntry>()
  /** By session, then key. */
  readonly keys = new Map<string, Map<string, KeyRow>>()
  /** Messages that left their conversation at a time. */
  readonly #expired = new Map<StoredEntry, number>()
  /** The events of the sessions that are there. */
  readonly #sessionEvents = new Map<string, Set<string>>()

  findKey(sessionKey: string, key: string): KeyRow | undefined {
    return this.keys.get(sessionKey)?.get(key)
  }

  putKey(sessionKey: string, key: string, row: KeyRow): void {
    const keys = this.keys.get(sessionKey) ?? new Map<string, KeyRow>()
    this.keys.set(sessionKey, keys.set(key, row))
  }

  hasSession(key: string): boolean {
    return this.sessions.has(key)
  }

  insertSession(row: SessionRow, eventId: string): void {
    this.sessions.set(row.key, row)
    this.#sessionEvents.set(row.key, new Set([eventId]))
  }

  putSession(row: SessionRow): number {
    const resetSeq = Math.max(this.sessions.get(row.key)?.resetSeq ?? 0, row.resetSeq)
    if (!this.sessions.has(row.key)) this.#sessionEvents.set(row.key, new Set())
    this.sessions.set(row.key, { ...row, resetSeq })
    return resetSeq
  }

  touchSession(key: string, at: number): void {
    const row = this.sessions.get(key)
    if (row !== undefined && row.updatedAt < at) this.sessions.set(key, { ...row, updatedAt: at })
  }

  removeSession(key: string): boolean {
    if (!this.sessions.delete(key)) return false
    this.#removeEntries(this.#messagesOf(key))
    for (const id of this.#sessionEvents.get(key) ?? []) {
      if ((this.events.get(id)?.status ?? STATUS.pending) !== STATUS.pending) this.events.delete(id)
    }
    this.#sessionEvents.delete(key)
    for (const { id, sessionKey, status } of this.events.values()) {
      if (sessionKey === key && status === STATUS.failed) this.events.delete(id)
    }
    this.#removeKeys(key, ({ id }) => this.events.get(id)?.status !== STATUS.pending)
    return true
  }

  expireMessages(sessionKey: string, now: number): void {
    for (const entry of this.#messagesOf(sessionKey)) {
      if (!this.#expired.has(entry)) this.#expired.set(entry, now)
    }
  }

  #messagesOf(key: string): Set<StoredEntry> {
    return new Set([...this.messages].filter(({ sessionKey }) => sessionKey === key))
  }

  #removeEntries(gone: ReadonlySet<StoredEntry>): void {
    this.entries = this.entries.filter((entry) => !gone.has(entry))
    for (const entry of gone) {
      this.messages.delete(entry)
      this.#expired.delete(entry)
    }
  }

  insertEvent(row: EventRow): boolean {
    if (this.events.has(row.id)) return false
    this.events.set(row.id, { ...row, ...WAITING })
    this.#sessionEvents.get(row.sessionKey)?.add(row.id)
    return true
  }

  insertEntry(seq: number, event: string, sessionKey: string | null, at: number, payload: string): void {
    const entry = { seq, event, sessionKey, at, payload }
    this.entries.push(entry)
    if (event === MESSAGE_EVENT && sessionKey !== null && this.sessions.has(sessionKey)) {
      this.messages.add(entry)
    }
  }

  isPending(id: string, sessionKey: string): boolean {
    const row = this.events.get(id)
    return row?.status === STATUS.pending && row.sessionKey === sessionKey
  }

  endEvent(id: string, sessionKey: string, end: EndRow): boolean {
    const row = this.events.get(id)
    if (row === undefined || !this.isPending(id, sessionKey)) return false
    Object.assign(row, end)
    return true
  }

  reviveEvent(id: string): boolean {
    const row = this.events.get(id)
    if (row?.status !== STATUS.failed) return false
    Object.assign(row, WAITING)
    return true
  }

  discardEvent(id: string, now: number): boolean {
    const row = this.events.get(id)
    if (row?.status !== STATUS.failed) return false
    Object.assign(row, { status: STATUS.discarded, doneAt: now })
    return true
  }

  /** See `MaintenanceStep`. Memory needs no bound: what goes, goes in one pass. */
  maintain(step: MaintenanceStep, cutoff: number, upTo: number): number {
    switch (step) {
      case 'ended':
        this.#removeEnded(cutoff)
        return 0
      case 'keys':
        for (const key of this.keys.keys()) this.#removeKeys(key, (row) => row.at <= cutoff)
        return 0
      case 'documents':
        this.documents.removeExpired(cutoff)
        return 0
      case 'trim':
        for (const key of this.sessions.keys()) {
          for (const entry of [...this.#messagesOf(key)].slice(0, -cutoff)) this.#expired.set(entry, 0)
        }
        return 0
      case 'planEntries':
        return lastSeq(this.#passing(cutoff))
      case 'planExpired':
        return lastSeq(this.#due(cutoff))
      case 'entries':
        this.#removeEntries(new Set(this.#passing(cutoff).filter(({ seq }) => seq <= upTo)))
        return 1
      case 'expired':
        this.#removeEntries(new Set(this.#due(cutoff).filter(({ seq }) => seq <= upTo)))
        return 1
      default:
        return 0
    }
  }

  #passing(cutoff: number): StoredEntry[] {
    return this.entries.filter((entry) => !this.messages.has(entry) && entry.at < cutoff)
  }

  #due(cutoff: number): StoredEntry[] {
    return this.entries.filter((entry) => (this.#expired.get(entry) ?? cutoff) < cutoff)
  }

  #removeEnded(cutoff: number): void {
    for (const { id, status, doneAt, sessionKey } of this.events.values()) {
      if (status < STATUS.completed || doneAt >= cutoff) continue
      this.events.delete(id)
      this.#sessionEvents.get(sessionKey)?.delete(id)
    }
  }

  #removeKeys(sessionKey: string, matches: (row: KeyRow) => boolean): void {
    const keys = this.keys.get(sessionKey)
    if (keys === undefined) return
    for (const [key, row] of keys) if (matches(row)) keys.delete(key)
    if (keys.size === 0) this.keys.delete(sessionKey)
  }
}

const lastSeq = (entries: readonly StoredEntry[]): number => entries.at(-1)?.seq ?? 0
