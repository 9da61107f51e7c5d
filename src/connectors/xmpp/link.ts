import { type Client, jid, xml } from '@xmpp/client'
import { abortable } from '../../agents/abort.js'
import type { Log } from '../../log.js'
import { GatewayError } from '../../protocol/errors.js'
import type { Inlet, OutgoingPart, Target } from '../connector.js'
import { unsent } from '../failure.js'
import { Acks } from './acks.js'
import { createClient } from './client.js'
import { conditionOf, lost, refusal } from './failures.js'
import type { XmppOptions } from './options.js'
import { type RoomSettings, Rooms } from './rooms.js'
import { type Address, XmppSocket } from './socket.js'
import { composing, messageTo, ping, reflectionId, type Stanza, toIncoming } from './stanzas.js'

export interface LinkSettings {
  readonly options: XmppOptions
  /** Our bare JID. */
  readonly self: string
  readonly password: string
  readonly rooms: readonly RoomSettings[]
}

/** A message on its way, until the server has taken it. */
interface Pending {
  readonly to: string
  taken(messageId: string): void
  fail(error: GatewayError): void
}

const CLOSE_GRACE_MS = 1_000

/** One connection: logs in, joins the rooms, passes messages on; is not used again once it is lost. */
export class XmppLink {
  readonly #client: Client
  readonly #settings: LinkSettings
  readonly #domain: string
  readonly #inlet: Inlet
  readonly #log: Log
  readonly #rooms: Rooms
  readonly #acks = new Acks((element) => this.#send(element))
  readonly #offersAcks: () => boolean
  /** By the id of the message. */
  readonly #pending = new Map<string, Pending>()
  /** What waits for the answer to a ping, by its id. */
  readonly #pings = new Map<string, () => void>()
  #failure: GatewayError | null = null
  #isReady = false
  #isOver = false
  #pingCount = 0
  #keepalive: NodeJS.Timeout | undefined

  constructor(settings: LinkSettings, address: Address, inlet: Inlet, log: Log) {
    const { options, self, password, rooms } = settings
    this.#settings = settings
    this.#domain = jid(self).domain
    this.#inlet = inlet
    this.#log = log
    const { client, offersAcks } = createClient(self, password, options.resource, address, () =>
      this.#acks.tell(),
    )
    this.#client = client
    this.#offersAcks = offersAcks
    this.#rooms = new Rooms(
      rooms,
      options,
      (stanza) => this.#send(stanza),
      (error) => inlet.troubled(error),
      log,
    )
  }

  /** Resolves when `signal` has ended it, rejects with why it could not be made or was lost. */
  run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    const client = this.#client
    return new Promise((resolve, reject) => {
      let grace: NodeJS.Timeout | undefined
      const leave = () => {
        this.#isReady = false
        grace = setTimeout(() => this.#destroy(), CLOSE_GRACE_MS)
        this.#acks.tell()
        if (client.status === 'online') client.write('</stream:stream>').catch(() => this.#destroy())
        else this.#destroy()
      }
      signal.addEventListener('abort', leave, { once: true })
      client.once('disconnect', () => {
        signal.removeEventListener('abort', leave)
        clearTimeout(grace)
        this.#end()
        if (signal.aborted) resolve()
        else reject(this.#lost())
      })
      client.on('error', (error) => {
        if (!this.#isOver) this.#fail(lost(error))
      })
      // The server has ended the stream, and waits for us to end ours (RFC 6120 §4.4).
      client.on('close', () => client.socket?.end())
      client.on('nonza', (element) => this.#acks.nonza(element))
      client.on('stanza', (stanza) => this.#receive(stanza))
      client.on('online', () => void this.#online())
      client.start().catch((error: Error) => this.#fail(lost(error)))
    })
  }

  /** Resolves with the message's id once the server, or the room, has taken it. */
  async send(part: OutgoingPart, signal: AbortSignal): Promise<string> {
    if (!this.#isReady) throw unsent(this.#lost())
    const { to, isRoom } = address(part.target, this.#rooms)
    if (isRoom && this.#rooms.membership.isAwaited(to)) {
      throw new GatewayError('UNAVAILABLE', 'The room is not joined now; it will be joined again.')
    }
    const key = part.idempotencyKey
    const failed = new AbortController()
    const taken = new Promise<string>((resolve) => {
      this.#pending.set(key, { to, taken: resolve, fail: (error) => failed.abort(error) })
    })
    try {
      this.#send(messageTo(to, isRoom, part))
      // A room sends everyone's messages to everyone. A server handles what we send in order (RFC 6120 §10.1).
      if (!isRoom) this.#ping(() => this.#pending.get(key)?.taken(key))
      return await abortable(taken, AbortSignal.any([signal, failed.signal]))
    } finally {
      this.#pending.delete(key)
    }
  }

  typing(target: Target): void {
    if (!this.#isReady) return
    const { to, isRoom } = address(target, this.#rooms)
    this.#send(composing(to, isRoom))
  }

  async #online(): Promise<void> {
    this.#beat()
    if (this.#offersAcks()) this.#acks.enable()
    this.#send(xml('presence'))
    await this.#rooms.membership.start()
    if (this.#isOver) return
    this.#isReady = true
    this.#inlet.connected(this.#settings.self)
  }

  /** Asks again and again whether the server is there. */
  #beat(): void {
    const { pingIntervalMs, pingTimeoutMs } = this.#settings.options
    this.#keepalive = setTimeout(() => {
      this.#keepalive = setTimeout(() => {
        this.#fail(new GatewayError('UNAVAILABLE', 'The XMPP server was silent for too long.'))
      }, pingTimeoutMs)
      this.#ping(() => {
        clearTimeout(this.#keepalive)
        this.#beat()
      })
    }, pingIntervalMs)
  }

  #ping(answered: () => void): void {
    const id = `ping-${++this.#pingCount}`
    this.#pings.set(id, answered)
    this.#send(ping(this.#domain, id))
  }

  #receive(stanza: Stanza): void {
    const { id, type, from } = stanza.attrs
    if (this.#isOver) return
    const handled = this.#acks.count()
    if (stanza.is('message')) {
      if (type === 'error') this.#refused(stanza)
      else if (type === 'groupchat') this.#reflected(stanza)
      void this.#take(stanza).then((isHandled) => isHandled && handled())
      return
    }
    if (stanza.is('presence')) this.#rooms.presence(stanza)
    else if ((type === 'result' || type === 'error') && this.#isServer(from)) {
      const answered = this.#pings.get(id)
      this.#pings.delete(id)
      answered?.()
    }
    handled()
  }

  /** Others can guess the ids of pings. A server's own answers may come without an address (RFC 6120 §8.1.2.1). */
  #isServer(from: string | undefined): boolean {
    return from === undefined || from === this.#domain || from === this.#settings.self
  }

  /** False: the server shall keep it. */
  async #take(stanza: Stanza): Promise<boolean> {
    const message = toIncoming(stanza, {
      self: this.#settings.self,
      nickIn: (room) => this.#rooms.nickIn(room),
      realJid: (occupant) => this.#rooms.realJid(occupant),
    })
    if (message === null) return true
    try {
      await this.#inlet.receive(message)
      return true
    } catch (err) {
      if (this.#acks.isOn && !message.group) {
        // The next connection gets it again.
        this.#fail(new GatewayError('UNAVAILABLE', 'The gateway could not take a message.', { cause: err }))
        return false
      }
      this.#log.warn({ err }, 'message lost, the gateway could not take it')
      return true
    }
  }

  #refused(stanza: Stanza): void {
    const pending = this.#pending.get(stanza.attrs.id)
    if (pending !== undefined) pending.fail(refusal(stanza))
    // Of another server, or of a chat state.
    else this.#log.debug({ condition: conditionOf(stanza).condition }, 'message came back')
  }

  #reflected(stanza: Stanza): void {
    const { from, id } = stanza.attrs
    const pending = this.#pending.get(id)
    if (pending === undefined || from !== `${pending.to}/${this.#rooms.nickIn(pending.to)}`) return
    pending.taken(reflectionId(stanza))
  }

  /** What cannot be written is lost with the connection, of which we hear otherwise. */
  #send(stanza: Stanza): void {
    this.#client.send(stanza).catch(() => {})
  }

  #fail(error: GatewayError): void {
    this.#failure ??= error
    this.#destroy()
  }

  #destroy(): void {
    const { socket } = this.#client
    if (socket instanceof XmppSocket) socket.destroy()
  }

  #end(): void {
    this.#isOver = true
    this.#isReady = false
    clearTimeout(this.#keepalive)
    this.#rooms.membership.close()
    for (const { fail } of this.#pending.values()) fail(unsent(this.#lost()))
    // Whatever the library waits for, with a timer, waits for an error too.
    this.#client.emit('error', new Error('closed'))
  }

  #lost(): GatewayError {
    return this.#failure ?? new GatewayError('UNAVAILABLE', 'There is no connection to the XMPP server.')
  }
}

function address({ peer }: Target, rooms: Rooms): { to: string; isRoom: boolean } {
  try {
    const to = jid(peer).toString()
    return { to, isRoom: rooms.nickIn(to) !== undefined }
  } catch {
    throw new GatewayError('NOT_FOUND', 'There can be nobody of this name on XMPP.')
  }
}
