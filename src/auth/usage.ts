import { RateBucket } from '../connection/rate-bucket.js'
import { GatewayError, type PrincipalLimits } from '../protocol/index.js'
import { ANONYMOUS, type Principal } from './principal.js'

/** Those without a connection that are remembered, so that coming anew does not begin a new count. */
const MAX_IDLE = 10_000
const CONNECTION_RETRY_MS = 5_000
const IN_FLIGHT_RETRY_MS = 100

export interface LimitRefusals {
  connections: number
  requests: number
  inFlight: number
}

/** What the connections of one principal use together. */
export class PrincipalUsage {
  connections = 0
  inFlight = 0
  #limits: Required<PrincipalLimits>
  #bucket: RateBucket

  constructor(
    readonly name: string,
    /** What its credentials say; the rest is as for everyone. */
    public own: PrincipalLimits,
    limits: Required<PrincipalLimits>,
    private readonly refused: LimitRefusals,
  ) {
    this.#limits = limits
    this.#bucket = new RateBucket(limits.requestsPerSecond, 1_000)
  }

  set limits(limits: Required<PrincipalLimits>) {
    const { requestsPerSecond } = this.#limits
    this.#limits = limits
    if (limits.requestsPerSecond !== requestsPerSecond) {
      this.#bucket = new RateBucket(limits.requestsPerSecond, 1_000)
    }
  }

  /** A request or an event frame has come. @returns why it is not taken; null: it is. */
  refuseRequest(now: number): GatewayError | null {
    const retryAfterMs = this.#bucket.take(now)
    if (retryAfterMs === 0) return null
    this.refused.requests++
    return limited('Too many requests with these credentials.', 'requestsPerSecond', retryAfterMs)
  }

  /** @throws `RATE_LIMITED`. */
  requireRoomInFlight(): void {
    if (!isReached(this.inFlight, this.#limits.inFlight)) return
    this.refused.inFlight++
    throw limited('Too many requests in flight with these credentials.', 'inFlight', IN_FLIGHT_RETRY_MS)
  }

  /** @throws `RATE_LIMITED`. */
  requireRoomForConnection(): void {
    if (!isReached(this.connections, this.#limits.connections)) return
    this.refused.connections++
    throw limited('Too many connections with these credentials.', 'connections', CONNECTION_RETRY_MS)
  }
}

/** The limits of each principal, per node. */
export class Usages {
  /** Counters that only grow. */
  readonly refused: LimitRefusals = { connections: 0, requests: 0, inFlight: 0 }
  readonly #defaults: Required<PrincipalLimits>
  readonly #byName = new Map<string, PrincipalUsage>()
  /** Those without a connection, in the order in which they lost the last one. */
  readonly #idle = new Set<string>()

  /** `defaults`: read at each use. */
  constructor(defaults: Required<PrincipalLimits>) {
    this.#defaults = defaults
  }

  /**
   * Counts a connection of this principal; null: nothing is limited.
   * @throws `RATE_LIMITED` when it has as many as it may.
   */
  enter(principal: Principal): PrincipalUsage | null {
    const usage = this.#usageOf(principal)
    if (usage === null) return null
    usage.requireRoomForConnection()
    return this.#count(usage)
  }

  /** The same for a connection that is there already: it stays. */
  join(principal: Principal): PrincipalUsage | null {
    const usage = this.#usageOf(principal)
    return usage === null ? null : this.#count(usage)
  }

  /** The defaults are others now. */
  renewLimits(): void {
    for (const usage of this.#byName.values()) usage.limits = { ...this.#defaults, ...usage.own }
  }

  leave(usage: PrincipalUsage): void {
    usage.connections--
    if (usage.connections > 0) return
    this.#idle.add(usage.name)
    if (this.#idle.size <= MAX_IDLE) return
    const oldest = this.#idle.values().next().value!
    this.#idle.delete(oldest)
    this.#byName.delete(oldest)
  }

  #usageOf(principal: Principal): PrincipalUsage | null {
    const { name, limits: own } = principal
    const limits = { ...this.#defaults, ...own }
    if (principal === ANONYMOUS || Object.values(limits).every((limit) => limit === 0)) return null
    let usage = this.#byName.get(name)
    if (usage === undefined) {
      usage = new PrincipalUsage(name, own, limits, this.refused)
      this.#byName.set(name, usage)
    } else {
      usage.own = own
      usage.limits = limits
    }
    return usage
  }

  #count(usage: PrincipalUsage): PrincipalUsage {
    usage.connections++
    this.#idle.delete(usage.name)
    return usage
  }
}

function isReached(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
}

function limited(message: string, limit: string, retryAfterMs: number): GatewayError {
  return new GatewayError('RATE_LIMITED', message, { details: { limit }, retryAfterMs })
}
