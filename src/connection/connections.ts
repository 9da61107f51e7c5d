import type { Audit } from '../auth/audit.js'
import { Expiries } from '../auth/expiries.js'
import type { EndReason } from '../auth/identities.js'
import type { Principal } from '../auth/principal.js'
import type { Usages } from '../auth/usage.js'
import type { Config } from '../config/schema.js'
import type { Broadcaster } from '../events/broadcaster.js'
import type { Log } from '../log.js'
import type { MethodRegistry, ObserveRequest } from '../methods/registry.js'
import { CLOSE, type CloseReason } from '../protocol/close-codes.js'
import { CARRYING, type Tracing } from '../tracing/tracing.js'
import type { Connection } from './connection.js'
import { Flusher } from './outbox.js'

export interface ConnectionStats {
  accepted: number
  framesReceived: number
  framesBad: number
  framesLimited: number
  slowConsumers: number
  /** `LOST`: by the heartbeat, without a close code. */
  readonly closes: Partial<Record<CloseReason | 'LOST', number>>
}

export interface ConnectionsOptions {
  readonly config: Pick<Config, 'connection' | 'rateLimit'>
  readonly broadcaster: Broadcaster
  readonly methods: MethodRegistry
  readonly audit: Audit
  readonly usages: Usages
  readonly log: Log
  readonly observeRequest: ObserveRequest
  /** Default: trace contexts are carried on. */
  readonly tracing?: Tracing
  /** Answers a hello: opens the connection or refuses it. Must not throw. */
  readonly handshake: (connection: Connection, frame: Record<string, unknown>) => void
  /** Takes an inbound event frame; a refusal is answered on the connection. Must not throw. */
  readonly publish: (connection: Connection, frame: Record<string, unknown>) => void
  /** A connection was refused at its hello or before. */
  readonly onRefused: (reason: CloseReason) => void
}

/** What a connection needs of the gateway. */
export interface ConnectionServices extends ConnectionsOptions {
  readonly tracing: Tracing
  readonly flusher: Flusher
  readonly stats: ConnectionStats
  /** The connection was let in. */
  opened(connection: Connection): void
  /** The connection's socket is gone. */
  forget(connection: Connection): void
}

/** Heartbeats go out in this many turns an interval, so that 10,000 pings do not leave at once. */
const HEARTBEAT_TURNS = 8

/** All connections: their shared services, heartbeat and end. */
export class Connections implements ConnectionServices {
  readonly flusher = new Flusher()
  readonly stats: ConnectionStats = {
    accepted: 0,
    framesReceived: 0,
    framesBad: 0,
    framesLimited: 0,
    slowConsumers: 0,
    closes: {},
  }
  readonly config: ConnectionsOptions['config']
  readonly broadcaster: Broadcaster
  readonly methods: MethodRegistry
  readonly audit: Audit
  readonly usages: Usages
  readonly log: Log
  readonly observeRequest: ObserveRequest
  readonly tracing: Tracing
  readonly handshake: ConnectionsOptions['handshake']
  readonly publish: ConnectionsOptions['publish']
  readonly onRefused: ConnectionsOptions['onRefused']
  /** Event frames that are not published but taken by somebody, by the name of the event. Must not throw. */
  readonly taken = new Map<unknown, ConnectionsOptions['publish']>()
  /** By turn of the heartbeat. */
  readonly #turns: Set<Connection>[] = Array.from({ length: HEARTBEAT_TURNS }, () => new Set())
  readonly #heartbeat: NodeJS.Timeout
  /** Those whose credentials end by themselves. */
  readonly #expiries = new Expiries<Connection>((connections) => {
    for (const connection of connections) end(connection, 'expired')
  })
  #turn = 0
  #size = 0
  #nextTurn = 0
  #onEmpty: (() => void) | null = null
  #closing: Promise<void> | null = null

  constructor(options: ConnectionsOptions) {
    this.config = options.config
    this.broadcaster = options.broadcaster
    this.methods = options.methods
    this.audit = options.audit
    this.usages = options.usages
    this.log = options.log
    this.observeRequest = options.observeRequest
    this.tracing = options.tracing ?? CARRYING
    this.handshake = options.handshake
    this.publish = (connection, frame) => (this.taken.get(frame.event) ?? options.publish)(connection, frame)
    this.onRefused = options.onRefused
    this.#heartbeat = setInterval(() => this.#beat(), options.config.connection.heartbeatMs / HEARTBEAT_TURNS)
    this.#heartbeat.unref()
  }

  get size(): number {
    return this.#size
  }

  get full(): boolean {
    return this.#size >= this.config.connection.maxConnections
  }

  *[Symbol.iterator](): IterableIterator<Connection> {
    for (const turn of this.#turns) yield* turn
  }

  find(id: string): Connection | undefined {
    for (const connection of this) if (connection.id === id) return connection
    return undefined
  }

  add(connection: Connection): void {
    this.#turns[this.#nextTurn]!.add(connection)
    this.#nextTurn = (this.#nextTurn + 1) % HEARTBEAT_TURNS
    this.#size++
    connection.number = ++this.stats.accepted
  }

  opened(connection: Connection): void {
    const { expiresAt } = connection.principal
    if (expiresAt !== null) this.#expiries.set(connection, expiresAt)
  }

  /** Closes those that came with these credentials. Their requests end with them; what was accepted goes on. */
  closeEnded(ended: ReadonlySet<Principal>, reason: EndReason): void {
    for (const connection of [...this]) {
      if (connection.state === 'open' && ended.has(connection.principal)) end(connection, reason)
    }
  }

  forget(connection: Connection): void {
    this.#expiries.delete(connection)
    for (const turn of this.#turns) {
      if (turn.delete(connection)) {
        this.#size--
        break
      }
    }
    if (this.#size === 0) this.#onEmpty?.()
  }

  /** Closes those that leave much unread, which is memory that nobody else gets; they resume where they were. */
  shedSlowReaders(): void {
    for (const connection of [...this]) if (connection.outbox.congested) connection.onOverflow()
  }

  /** Closes every connection, and resolves when their sockets are gone. Twice is fine. */
  closeAll(reason: 'SHUTTING_DOWN' | 'RESTARTING'): Promise<void> {
    this.#closing ??= this.#closeAll(reason)
    return this.#closing
  }

  async #closeAll(reason: 'SHUTTING_DOWN' | 'RESTARTING'): Promise<void> {
    clearInterval(this.#heartbeat)
    this.#expiries.close()
    for (const connection of [...this]) connection.shutDown(reason)
    if (this.#size === 0) return
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
  }

  #beat(): void {
    this.#turn = (this.#turn + 1) % HEARTBEAT_TURNS
    for (const connection of this.#turns[this.#turn]!) {
      if (connection.unansweredPings >= 2) connection.lost()
      else if (connection.state !== 'closed') {
        connection.unansweredPings++
        connection.socket.ping()
      }
    }
  }
}

const END_MESSAGES: Readonly<Record<EndReason, string>> = {
  revoked: 'These credentials were revoked.',
  expired: 'These credentials have expired.',
  changed: CLOSE.RIGHTS_CHANGED.description,
}

function end(connection: Connection, reason: EndReason): void {
  connection.close(reason === 'changed' ? 'RIGHTS_CHANGED' : 'UNAUTHORIZED', END_MESSAGES[reason])
}
