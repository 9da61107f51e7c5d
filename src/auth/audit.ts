import { RateBucket } from '../connection/rate-bucket.js'
import type { DocumentRecord, Documents } from '../journal/documents.js'
import { newAuditId } from '../journal/ids.js'
import type { Log } from '../log.js'
import type { RequestContext } from '../methods/registry.js'
import { type AuditEntry, type Contract, type JsonObject, toErrorShape } from '../protocol/index.js'
import { decodePosition, encodePosition } from './position.js'

const KIND = 'audit'
/** Entries of one commit. */
const BATCH = 64
const MINUTE_MS = 60_000
/** Entries that one `audit.list` looks at: a rare filter goes on with the next page. */
const MAX_SCANNED = 2_000
const SCAN_PAGE = 200

/** Parameters that say what an action is about. Whatever else a method is given may be a secret or a message. */
const TARGET_PARAMS = new Set([
  'agent',
  'channel',
  'connId',
  'cronId',
  'deliveryId',
  'deviceId',
  'enabled',
  'eventId',
  'expiresInMs',
  'group',
  'id',
  'jobId',
  'method',
  'name',
  'overlapMs',
  'path',
  'paths',
  'peer',
  'principal',
  'requestId',
  'role',
  'runId',
  'scheduleId',
  'scopes',
  'sessionKey',
  'sessions',
  'tokenId',
])
const MAX_TEXT = 256
const MAX_ITEMS = 64
/** Of all that is kept of one call’s parameters, as JSON. */
const MAX_TARGET = 4_096

export interface AuditOptions {
  readonly documents: Documents
  readonly retentionMs: number
  readonly maxPending: number
  readonly maxRefusedPerMinute: number
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface AuditQuery {
  readonly principal?: string
  readonly method?: string
  readonly since?: number
  readonly limit: number
  readonly cursor?: string
}

/**
 * Who did what to the gateway, when, from where, and how it ended. Written after the action and never waited for; what
 * cannot be written is counted and in the log.
 */
export class Audit {
  /** Counters that only grow. */
  readonly stats = { recorded: 0, leftOut: 0, failed: 0 }
  readonly #options: AuditOptions
  readonly #now: () => number
  readonly #refused: RateBucket
  #queue: DocumentRecord[] = []
  #writing: Promise<void> | null = null

  constructor(options: AuditOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#refused = new RateBucket(options.maxRefusedPerMinute, MINUTE_MS)
  }

  /** Calls a method that is audited and records how it ended, whether or not anybody still waits for that. */
  watch(context: RequestContext, params: unknown, call: () => unknown): unknown {
    context.target = targetOf(params)
    let result: unknown
    try {
      result = call()
    } catch (error) {
      this.#ended(context, error)
      throw error
    }
    if (!(result instanceof Promise)) {
      this.#ended(context, null)
      return result
    }
    result.then(
      () => this.#ended(context, null),
      (error: unknown) => this.#ended(context, error),
    )
    return result
  }

  /** Somebody could not be made out. `method`: `hello` or `http`. */
  refusedLogin(address: string, method: 'hello' | 'http', outcome: string, connId: string | null): void {
    this.#record({ principal: null, address, connId, method, sessionKey: null, target: {}, outcome }, true)
  }

  /** The configuration was read anew though no method asked for it: its file has changed, or a signal came. */
  configReloaded(by: 'file' | 'signal', paths: readonly string[], outcome: string): void {
    const target = { paths: pathsOf(paths) }
    const entry = { address: by, connId: null, method: 'config.reload', sessionKey: null, target, outcome }
    this.#record({ principal: null, ...entry }, false)
  }

  /** @throws `INVALID_REQUEST` for a cursor that is none of ours. */
  async list(query: AuditQuery): Promise<{ entries: AuditEntry[]; nextCursor: string | null }> {
    const { principal, method, since = 0, limit } = query
    const entries: AuditEntry[] = []
    let before = query.cursor === undefined ? undefined : decodePosition(query.cursor)
    for (let scanned = 0; scanned < MAX_SCANNED; scanned += SCAN_PAGE) {
      const page = await this.#options.documents.documents({
        kind: KIND,
        subject: principal,
        limit: SCAN_PAGE,
        before,
      })
      for (const record of page) {
        if (record.at < since) return { entries, nextCursor: null }
        before = record
        const entry = JSON.parse(record.body) as AuditEntry
        if (method !== undefined && entry.method !== method) continue
        entries.push(entry)
        if (entries.length === limit) return { entries, nextCursor: encodePosition(record) }
      }
      if (page.length < SCAN_PAGE) return { entries, nextCursor: null }
    }
    return { entries, nextCursor: before === undefined ? null : encodePosition(before) }
  }

  /** Resolves when everything that was recorded is on disk, or was given up. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing
  }

  #ended(context: RequestContext, error: unknown): void {
    const { principal, connection, method, sessionKey, target } = context
    const outcome = error === null ? 'OK' : toErrorShape(error).code
    const entry = {
      principal: principal.name,
      address: connection.address,
      connId: connection.id,
      method,
      sessionKey,
      target: target ?? {},
      outcome,
    }
    this.#record(entry, outcome === 'FORBIDDEN')
  }

  #record(entry: Omit<AuditEntry, 'auditId' | 'at'>, isRefusal: boolean): void {
    const { maxPending, retentionMs, log } = this.#options
    const at = this.#now()
    // Whoever may do nothing must not be able to fill the disk.
    const isLeftOut =
      (isRefusal && this.#refused.take(performance.now()) > 0) || this.#queue.length >= maxPending
    if (isLeftOut) {
      this.stats.leftOut++
      log.debug({ audit: entry }, 'an entry of the audit log was left out')
      return
    }
    const auditId = newAuditId()
    const body = JSON.stringify({ auditId, at, ...entry })
    const subject = entry.principal
    this.#queue.push({ kind: KIND, id: auditId, subject, at, expiresAt: at + retentionMs, body })
    this.#writing ??= this.#write()
  }

  async #write(): Promise<void> {
    const { documents, log } = this.#options
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, BATCH)
      try {
        await documents.saveDocuments(batch)
        this.stats.recorded += batch.length
      } catch (err) {
        this.stats.failed += batch.length
        const entries = batch.map(({ body }) => JSON.parse(body) as AuditEntry)
        log.error({ err, entries }, 'entries of the audit log could not be written')
      }
      this.#queue = this.#queue.slice(batch.length)
    }
    this.#writing = null
  }
}

/** Whether calls of a method are recorded. */
export function isAudited({ scope, audited }: Pick<Contract, 'scope' | 'audited'>): boolean {
  return scope === 'admin' || audited === true
}

/** Settings that changed, for `target.paths`. */
export function pathsOf(paths: readonly string[]): string[] {
  return paths.slice(0, MAX_ITEMS).map((path) => path.slice(0, MAX_TEXT))
}

function targetOf(params: unknown): JsonObject {
  if (typeof params !== 'object' || params === null) return {}
  const target = Object.fromEntries(
    Object.entries(params).filter(([name, value]) => TARGET_PARAMS.has(name) && isHarmless(value)),
  )
  // Whoever is refused chooses them, too.
  return JSON.stringify(target).length <= MAX_TARGET ? target : {}
}

function isHarmless(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= MAX_TEXT
  if (typeof value === 'number' || typeof value === 'boolean') return true
  if (!Array.isArray(value) || value.length > MAX_ITEMS) return false
  return value.every((item) => typeof item === 'string' && item.length <= MAX_TEXT)
}
