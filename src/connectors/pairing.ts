import { newPairingCode, normalPairingCode } from '../auth/pairing-code.js'
import type { PeerRecord, Peers } from '../journal/peers.js'
import type { Log } from '../log.js'
import { GatewayError, type Pairing as PairingItem } from '../protocol/index.js'
import type { IncomingMessage } from './connector.js'

export interface PairingOptions {
  readonly codeTtlMs: number
  /** Strangers of one channel with a code. */
  readonly maxPending: number
  /** How long one who was refused cannot ask again; 0: they may at once. */
  readonly rejectedMs: number
  readonly log: Log
  readonly onRequested: (record: PeerRecord) => void
  readonly onResolved: (record: PeerRecord, approved: boolean) => void
}

/** Names one that asked or was let in: by its code, or by who it is. */
export type PairingChoice = { readonly code: string } | { readonly channel: string; readonly peer: string }

/** Strangers on the channels, and those who were let in (spec §5). In memory; the journal has it too. */
export class Pairing {
  readonly #options: PairingOptions
  /** By channel and peer. */
  readonly #records = new Map<string, Map<string, PeerRecord>>()
  #peers: Peers | null = null

  constructor(options: PairingOptions) {
    this.#options = options
  }

  /** Reads who is known, before the first message. */
  async load(peers: Peers): Promise<void> {
    this.#peers = peers
    for (const record of await peers.peers()) this.#put(record)
  }

  isPaired(channel: string, peer: string): boolean {
    return (this.#records.get(channel)?.get(peer)?.approvedAt ?? null) !== null
  }

  /**
   * Lets a stranger ask. Resolves, once that is on disk, with the code to tell; null: it was told before, the stranger or the
   * whole group was refused, or too many ask.
   */
  async request(channel: string, { sender, peer, thread }: IncomingMessage): Promise<string | null> {
    const { maxPending, codeTtlMs, log, onRequested } = this.#options
    await this.#forgetExpired(channel)
    const records = this.#records.get(channel)
    const group = records?.get(peer)
    if (records?.has(sender.id) || (group !== undefined && isRejected(group))) return null
    if (this.#pending(channel).length >= maxPending) {
      log.debug({ channel }, 'a stranger gets no pairing code: too many have one')
      return null
    }
    const now = Date.now()
    const record: PeerRecord = {
      channel,
      peer: sender.id,
      name: sender.name ?? null,
      target: { peer, thread },
      code: newPairingCode(new Set(this.#all().map(({ code }) => code))),
      requestedAt: now,
      expiresAt: now + codeTtlMs,
      approvedAt: null,
      approvedBy: null,
    }
    // At once, so that the next message of the same stranger does not ask as well.
    this.#put(record)
    try {
      await this.#peers!.savePeer(record)
    } catch (error) {
      this.#drop(record)
      throw error
    }
    log.info({ channel, peer: sender.id }, 'a stranger asks to be paired')
    onRequested(record)
    return record.code
  }

  /** By channel, then by when they asked. */
  list(): PeerRecord[] {
    return this.#all()
      .filter(isAlive)
      .sort((a, b) =>
        a.channel < b.channel ? -1 : a.channel > b.channel ? 1 : a.requestedAt - b.requestedAt,
      )
  }

  /** @throws `NOT_FOUND`. */
  find(choice: PairingChoice): PeerRecord {
    const record =
      'code' in choice
        ? this.#all().find((record) => isPending(record) && record.code === normalPairingCode(choice.code))
        : this.#records.get(choice.channel)?.get(choice.peer)
    if (record !== undefined && isAlive(record)) return record
    throw unknown()
  }

  /**
   * Lets one in that asked. `group`: everyone of the group where it asked instead.
   * @throws `NOT_FOUND`.
   */
  async approve(choice: PairingChoice, by: string, group = false): Promise<PeerRecord> {
    const asked = this.find(choice)
    if (asked.approvedAt !== null) return asked
    const peer = group ? asked.target.peer : asked.peer
    const record = { ...asked, peer, approvedAt: Date.now(), approvedBy: by }
    await this.#peers!.savePeer(record)
    this.#put(record)
    if (peer !== asked.peer) await this.#remove(asked)
    this.#options.log.info({ channel: record.channel, peer, by }, 'a peer was let in')
    this.#options.onResolved(record, true)
    return record
  }

  /** Refuses one that asked, or shuts out one that was let in; for a while they cannot ask again. @throws `NOT_FOUND`. */
  async reject(choice: PairingChoice, by: string): Promise<PeerRecord> {
    const { rejectedMs, log, onResolved } = this.#options
    const record = this.find(choice)
    if (isRejected(record)) throw unknown()
    const rejected = {
      ...record,
      code: '',
      expiresAt: Date.now() + rejectedMs,
      approvedAt: null,
      approvedBy: null,
    }
    if (rejectedMs === 0) await this.#remove(record)
    else {
      await this.#peers!.savePeer(rejected)
      this.#put(rejected)
    }
    log.info({ channel: record.channel, peer: record.peer, by }, 'a peer was refused')
    onResolved(rejected, false)
    return rejected
  }

  #all(): PeerRecord[] {
    return [...this.#records.values()].flatMap((records) => [...records.values()])
  }

  #pending(channel: string): PeerRecord[] {
    return [...(this.#records.get(channel)?.values() ?? [])].filter(isPending)
  }

  async #forgetExpired(channel: string): Promise<void> {
    const expired = [...(this.#records.get(channel)?.values() ?? [])].filter((record) => !isAlive(record))
    await Promise.all(expired.map((record) => this.#remove(record)))
  }

  async #remove(record: PeerRecord): Promise<void> {
    await this.#peers!.removePeer(record.channel, record.peer)
    this.#drop(record)
  }

  #put(record: PeerRecord): void {
    let records = this.#records.get(record.channel)
    if (records === undefined) {
      records = new Map()
      this.#records.set(record.channel, records)
    }
    records.set(record.peer, record)
  }

  /** Unless another one has taken its place. */
  #drop(record: PeerRecord): void {
    const records = this.#records.get(record.channel)
    if (records?.get(record.peer) === record) records.delete(record.peer)
  }
}

/** Whether it was let in, or may still be, or is refused. */
function isAlive({ approvedAt, expiresAt }: PeerRecord): boolean {
  return approvedAt !== null || expiresAt > Date.now()
}

const stateOf = ({ code, approvedAt }: PeerRecord): PairingItem['state'] =>
  approvedAt !== null ? 'approved' : code === '' ? 'rejected' : 'pending'

const isPending = (record: PeerRecord): boolean => stateOf(record) === 'pending'

const isRejected = (record: PeerRecord): boolean => stateOf(record) === 'rejected' && isAlive(record)

const unknown = (): GatewayError =>
  new GatewayError('NOT_FOUND', 'Nobody asks so, or not any more; pairing.list names all.')

/** As clients see it; the code is for those who may approve. */
export function toPairing(record: PeerRecord, withCode: boolean): PairingItem {
  const { channel, peer, name, code, requestedAt, expiresAt, approvedAt, approvedBy } = record
  const state = stateOf(record)
  return {
    kind: 'peer',
    state,
    channel,
    peer,
    name,
    code: state === 'pending' && withCode ? code : null,
    requestedAt,
    expiresAt: state === 'approved' ? null : expiresAt,
    approvedAt,
    approvedBy,
  }
}
