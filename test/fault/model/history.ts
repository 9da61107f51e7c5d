import type { Frame } from '../../helpers/socket.js'

/** Microseconds of the machine's monotonic clock: the same in this process and in those that it starts. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

/** How one gateway over the state folder ended. */
export type LifeEnd = 'killed' | 'stopped' | 'restarted'

/** One gateway from its start to its end; the next one goes on with the same state folder. */
export interface Life {
  /** From 1. */
  readonly n: number
  readonly startedAt: number
  endedAt: number
  end: LifeEnd | null
}

export interface Position {
  readonly epoch: string
  readonly seq: number
}

/** A frame as a client got it. */
export interface Seen {
  readonly at: number
  readonly frame: Frame
}

/** In place of the number of a life. */
export const EVERY_LIFE = 0

/** One connection of a client, from its hello on. */
export interface Connection {
  readonly client: string
  /** From 1, of this client. */
  readonly n: number
  readonly life: number
  readonly openedAt: number
  /** The `resume` of its hello. */
  readonly asked: Position | null
  /** The `resume` of the `hello-ok`; null: there was none. */
  given: (Position & { readonly recovered: boolean }) | null
  /** Event frames, in order. */
  readonly events: Seen[]
  closedAt: number
}

/**
 * A request and what became of it. `refused`: nothing was done. `lost`: the connection ended first, or its answer says as much
 * as that, so it may have been executed, or not.
 */
export interface Call {
  readonly client: string
  readonly connection: number
  readonly life: number
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
  readonly sessionKey: string | null
  readonly sentAt: number
  /** Infinite while there is no answer. */
  answeredAt: number
  outcome: 'open' | 'ok' | 'refused' | 'lost'
  result: Frame['result']
  error: Frame['error']
  /** Whoever made it may have sent it several times. */
  readonly repeats: boolean
}

/** Errors by which a gateway says that it did nothing. */
const REFUSALS = ['CONFLICT', 'INVALID_REQUEST', 'FORBIDDEN', 'NOT_FOUND', 'RATE_LIMITED', 'AGENT_TIMEOUT']

const SENDS = ['sessions.send', 'events.publish']

/**
 * Whether that error means that nothing was done. A gateway that stops or restarts refuses the sends that it has not stored;
 * other requests in flight, and those that wait for an outcome, are answered the same, done or not.
 */
export function isRefusal(
  method: string,
  params: Call['params'],
  { code, details }: Frame['error'],
): boolean {
  if (code !== 'UNAVAILABLE') return REFUSALS.includes(code)
  if (details?.reason !== 'stopping') return details?.reason !== undefined
  return SENDS.includes(method) && params.wait !== true
}

/** Everything that clients did and saw over all lives of one state folder, as it happened. */
export class History {
  readonly lives: Life[] = []
  readonly connections: Connection[] = []
  readonly calls: Call[] = []

  /** The number of the life that is on, or was last. */
  get life(): number {
    return this.lives.length
  }

  begin(): Life {
    const life = { n: this.lives.length + 1, startedAt: now(), endedAt: Number.POSITIVE_INFINITY, end: null }
    this.lives.push(life)
    return life
  }

  connect(client: string, asked: Position | null, life = this.life): Connection {
    const n = this.connections.filter((connection) => connection.client === client).length + 1
    const connection: Connection = {
      client,
      n,
      life,
      openedAt: now(),
      asked,
      given: null,
      events: [],
      closedAt: Number.POSITIVE_INFINITY,
    }
    this.connections.push(connection)
    return connection
  }

  call(
    { client, n }: Connection,
    method: string,
    params: Record<string, unknown>,
    sessionKey: string | null,
    repeats = false,
  ): Call {
    const call: Call = {
      client,
      connection: n,
      life: this.life,
      method,
      params,
      sessionKey,
      sentAt: now(),
      answeredAt: Number.POSITIVE_INFINITY,
      outcome: 'open',
      result: null,
      error: null,
      repeats,
    }
    this.calls.push(call)
    return call
  }
}
