import type { Log } from '../log.js'
import { GatewayError } from '../protocol/errors.js'

interface Room {
  readonly name: string
  /** `waiting`: to be joined again; `out`: given up. */
  state: 'joining' | 'in' | 'waiting' | 'out'
  /** Why we are not in it. */
  reason: string
  lostTimes: number
  joinedAt: number
  timer?: NodeJS.Timeout
}

export interface MembershipOptions {
  readonly rooms: readonly string[]
  readonly rejoinDelayMs: number
  readonly maxRejoins: number
  /** Two names of the same room become the same. */
  readonly fold: (name: string) => string
  readonly join: (name: string) => void
  /** Told what we are out of, at each change; null: nothing. */
  readonly onTrouble: (error: GatewayError | null) => void
  readonly log: Log
}

/** A room that held so long is joined again as if it had never been lost. */
const STABLE_MS = 3_600_000

/** Rooms that a status names. */
const MAX_TOLD = 5

/** Whoever throws us out writes it. */
const MAX_REASON_LENGTH = 200

/** A room of another server may never answer. */
const ANSWER_TIMEOUT_MS = 10_000

/** The rooms of one connection: joins them, and those that are lost again, a bounded number of times. */
export class Membership {
  readonly #options: MembershipOptions
  readonly #rooms: ReadonlyMap<string, Room>
  #settle: () => void = () => {}

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#rooms = new Map(
      options.rooms.map((name) => [
        options.fold(name),
        { name, state: 'joining', reason: '', lostTimes: 0, joinedAt: 0 },
      ]),
    )
  }

  /** Joins all of them; resolves once each has let us in or has refused. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#settle = () => {
        if (![...this.#rooms.values()].some(({ state }) => state === 'joining')) resolve()
      }
      for (const room of this.#rooms.values()) this.#join(room)
      this.#settle()
    })
  }

  joined(name: string): void {
    const room = this.#find(name)
    if (room === undefined) return
    clearTimeout(room.timer)
    room.state = 'in'
    room.reason = ''
    room.joinedAt = Date.now()
    this.#settle()
    this.#tell()
  }

  /** It refused us, or has thrown us out. */
  lost(name: string, reason: string): void {
    const room = this.#find(name)
    if (room === undefined || room.state === 'waiting' || room.state === 'out') return
    if (room.state === 'in' && Date.now() - room.joinedAt >= STABLE_MS) room.lostTimes = 0
    clearTimeout(room.timer)
    const { rejoinDelayMs, maxRejoins, log } = this.#options
    room.reason = reason.slice(0, MAX_REASON_LENGTH)
    room.lostTimes++
    if (room.lostTimes > maxRejoins) {
      room.state = 'out'
      log.error({ room: room.name, reason }, 'room lost for good')
    } else {
      const delayMs = Math.min(rejoinDelayMs * 2 ** (room.lostTimes - 1), STABLE_MS)
      room.state = 'waiting'
      room.timer = setTimeout(() => this.#join(room), delayMs)
      log.warn({ room: room.name, reason, delayMs }, 'room lost, it will be joined again')
    }
    this.#settle()
    this.#tell()
  }

  isJoining(name: string): boolean {
    return this.#find(name)?.state === 'joining'
  }

  /** Whether we are out of it now and will try to come back. */
  isAwaited(name: string): boolean {
    const state = this.#find(name)?.state
    return state === 'joining' || state === 'waiting'
  }

  close(): void {
    for (const { timer } of this.#rooms.values()) clearTimeout(timer)
  }

  #join(room: Room): void {
    room.state = 'joining'
    room.timer = setTimeout(() => this.lost(room.name, 'no answer'), ANSWER_TIMEOUT_MS)
    this.#options.join(room.name)
  }

  /** A room that is joined again is still lost until it lets us in. */
  #tell(): void {
    const lost = [...this.#rooms.values()].filter(({ reason }) => reason !== '')
    const rooms = lost.slice(0, MAX_TOLD).map(({ name, reason }) => `${name} (${reason})`)
    const further = lost.length > MAX_TOLD ? `, and ${lost.length - MAX_TOLD} more` : ''
    const message = `Not in ${rooms.join(', ')}${further}.`
    this.#options.onTrouble(lost.length === 0 ? null : new GatewayError('FORBIDDEN', message))
  }

  #find(name: string): Room | undefined {
    return this.#rooms.get(this.#options.fold(name))
  }
}
