import { MESSAGE_EVENT } from './apply.js'
import type { StoredEntry } from './journal.js'
import type { MaintenanceStep } from './maintenance.js'
import { type EventRow, type KeyRow, type SessionRow, STATUS, type Store } from './store.js'

export interface MemoryEvent extends EventRow {
  status: number
  attempts: number
  error: string | null
  replySeq: number | null
  doneAt: number
}

/** The tables of the SQLite journal as maps. */
export class MemoryStore implements Store {
  lastSeq = 0
  /** In order of `seq`. */
  entries: StoredEntry[] = []
  readonly events = new Map<string, MemoryEvent>()
  readonly sessions = new Map<string, SessionRow>()
  /** By session, then key. */
  readonly keys = new Map<string, Map<string, KeyRow>>()
  #expiries: { at: number; sessionKey: string; upTo: number }[] = []

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

  insertSession(row: SessionRow): void {
    this.sessions.set(row.key, row)
  }

  putSession(row: SessionRow): number {
    const resetSeq = Math.max(this.sessions.get(row.key)?.resetSeq ?? 0, row.resetSeq)
    this.sessions.set(row.key, { ...row, resetSeq })
    return resetSeq
  }

  touchSession(key: string, at: number): void {
    const row = this.sessions.get(key)
    if (row !== undefined && row.updatedAt < at) this.sessions.set(key, { ...row, updatedAt: at })
  }

  removeSession(key: string): boolean {
    if (!this.sessions.delete(key)) return false
    this.entries = this.entries.filter((entry) => entry.sessionKey !== key || entry.event !== MESSAGE_EVENT)
    for (const row of this.events.values()) {
      if (row.sessionKey === key && row.status !== STATUS.pending) this.events.delete(row.id)
    }
    this.#removeKeys(({ id }) => this.events.get(id)?.status !== STATUS.pending, key)
    return true
  }

  expireMessages(sessionKey: string, seq: number, now: number): void {
    this.#expiries.push({ at: now, sessionKey, upTo: seq })
  }

  insertEvent(row: EventRow): boolean {
    if (this.events.has(row.id)) return false
    const state = { status: STATUS.pending, attempts: 0, error: null, replySeq: null, doneAt: 0 }
    this.events.set(row.id, { ...row, ...state })
    return true
  }

  insertEntry(seq: number, event: string, sessionKey: string | null, at: number, payload: string): void {
    this.entries.push({ seq, event, sessionKey, at, payload })
  }

  isPending(id: string, sessionKey: string): boolean {
    const row = this.events.get(id)
    return row?.status === STATUS.pending && row.sessionKey === sessionKey
  }

  endEvent(
    id: string,
    sessionKey: string,
    status: number,
    attempts: number,
    error: string | null,
    replySeq: number | null,
    now: number,
  ): boolean {
    const row = this.events.get(id)
    if (row === undefined || !this.isPending(id, sessionKey)) return false
    Object.assign(row, { status, attempts, error, replySeq, doneAt: now })
    return true
  }

  reviveEvent(id: string): boolean {
    const row = this.events.get(id)
    if (row?.status !== STATUS.failed) return false
    Object.assign(row, { status: STATUS.pending, attempts: 0, error: null, replySeq: null })
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
        for (const key of this.keys.keys()) this.#removeKeys((row) => row.at <= cutoff, key)
        return 0
      case 'planEntries':
        return this.entries.findLast((entry) => isPassing(entry, cutoff))?.seq ?? 0
      case 'entries':
        this.entries = this.entries.filter((entry) => entry.seq > upTo || !isPassing(entry, cutoff))
        return 1
      case 'planExpired':
        return this.#planExpired(cutoff)
      case 'expired':
        this.entries = this.entries.filter((entry) => entry.seq > upTo || !this.#isExpired(entry, cutoff))
        return 1
      default:
        return 0
    }
  }

  /** An expiry that has nothing left to remove is done. */
  #planExpired(cutoff: number): number {
    const last = this.entries.findLast((entry) => this.#isExpired(entry, cutoff))
    if (last === undefined) this.#expiries = this.#expiries.filter(({ at }) => at >= cutoff)
    return last?.seq ?? 0
  }

  #removeEnded(cutoff: number): void {
    for (const { id, status, doneAt } of this.events.values()) {
      const kept = status === STATUS.pending || status === STATUS.failed
      if (!kept && doneAt < cutoff) this.events.delete(id)
    }
  }

  #removeKeys(matches: (row: KeyRow) => boolean, sessionKey: string): void {
    const keys = this.keys.get(sessionKey)
    if (keys === undefined) return
    for (const [key, row] of keys) if (matches(row)) keys.delete(key)
    if (keys.size === 0) this.keys.delete(sessionKey)
  }

  #isExpired(entry: StoredEntry, cutoff: number): boolean {
    if (entry.event !== MESSAGE_EVENT) return false
    return this.#expiries.some(
      ({ at, sessionKey, upTo }) =>
        at < cutoff &&
        sessionKey === entry.sessionKey &&
        (entry.seq <= upTo || !this.sessions.has(sessionKey)),
    )
  }
}

const isPassing = (entry: StoredEntry, cutoff: number): boolean =>
  entry.event !== MESSAGE_EVENT && entry.at < cutoff
