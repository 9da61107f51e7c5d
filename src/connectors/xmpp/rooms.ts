import { jid } from '@xmpp/client'
import type { Log } from '../../log.js'
import type { GatewayError } from '../../protocol/errors.js'
import { Membership } from '../membership.js'
import { conditionOf } from './failures.js'
import { joinRoom, occupantOf, type Stanza, unlockRoom } from './stanzas.js'

export interface RoomSettings {
  readonly jid: string
  readonly nick: string
  readonly password: string | undefined
}

interface Room extends RoomSettings {
  /** The one that we have now: while another has ours, `_` is appended. */
  currentNick: string
  /** Bare JIDs by nick, in rooms that tell. */
  readonly realJids: Map<string, string>
}

const ALTERNATIVE_NICKS = 3

/** XEP-0045 §15.6.2 */
const REMOVALS: readonly (readonly [code: string, reason: string])[] = [
  ['301', 'banned'],
  ['307', 'thrown out'],
  ['321', 'no longer a member'],
  ['322', 'for members only now'],
  ['332', 'the room’s server stops'],
]

const removal = (codes: ReadonlySet<string>) => REMOVALS.find(([code]) => codes.has(code))?.[1] ?? 'removed'

/** The rooms of one connection. */
export class Rooms {
  readonly #rooms: ReadonlyMap<string, Room>
  readonly #send: (stanza: Stanza) => void
  readonly membership: Membership

  constructor(
    settings: readonly RoomSettings[],
    pace: { readonly rejoinDelayMs: number; readonly maxRejoins: number },
    send: (stanza: Stanza) => void,
    onTrouble: (error: GatewayError | null) => void,
    log: Log,
  ) {
    this.#send = send
    this.#rooms = new Map(
      settings.map((room) => [room.jid, { ...room, currentNick: room.nick, realJids: new Map() }]),
    )
    this.membership = new Membership({
      ...pace,
      rooms: [...this.#rooms.keys()],
      fold: (name) => name,
      join: (name) => this.#join(this.#rooms.get(name)!),
      onTrouble,
      log,
    })
  }

  /** Undefined: it is none of ours. */
  nickIn(room: string): string | undefined {
    return this.#rooms.get(room)?.currentNick
  }

  realJid(occupant: string): string | undefined {
    const { room, nick } = this.#find(occupant)
    return room?.realJids.get(nick)
  }

  presence(stanza: Stanza): void {
    const { room, nick } = this.#find(stanza.attrs.from ?? '')
    if (room === undefined) return
    const { type } = stanza.attrs
    const { codes, realJid } = occupantOf(stanza)
    const isUs = codes.has('110') || nick === room.currentNick
    if (type === 'error') this.#refused(room, stanza)
    else if (type === 'unavailable') {
      room.realJids.delete(nick)
      // 303: only the nick has changed, and the new one's presence follows.
      if (isUs && !codes.has('303')) this.membership.lost(room.jid, removal(codes))
    } else if (isUs) {
      room.currentNick = nick
      if (codes.has('201')) this.#send(unlockRoom(room.jid, 'unlock'))
      this.membership.joined(room.jid)
    } else if (realJid !== undefined) room.realJids.set(nick, realJid)
  }

  #refused(room: Room, stanza: Stanza): void {
    const { condition } = conditionOf(stanza)
    const tried = room.currentNick.length - room.nick.length
    if (condition === 'conflict' && tried < ALTERNATIVE_NICKS) {
      room.currentNick += '_'
      this.#send(joinRoom(`${room.jid}/${room.currentNick}`, room.password))
      return
    }
    room.currentNick = room.nick
    this.membership.lost(room.jid, condition)
  }

  #join(room: Room): void {
    room.realJids.clear()
    this.#send(joinRoom(`${room.jid}/${room.currentNick}`, room.password))
  }

  #find(occupant: string): { room: Room | undefined; nick: string } {
    if (occupant === '') return { room: undefined, nick: '' }
    const address = jid(occupant)
    return { room: this.#rooms.get(address.bare().toString()), nick: address.resource }
  }
}
