import { type ChannelStatus, GatewayError } from '../protocol/index.js'
import type { Channel } from './channel.js'

/** The channels of a gateway. */
export class Channels {
  readonly #byChannel = new Map<string, Channel>()
  readonly #byConnector = new Map<string, Channel>()
  readonly #listeners = new Set<(status: ChannelStatus) => void>()

  add(channel: Channel): void {
    this.#byChannel.set(channel.name, channel)
    this.#byConnector.set(channel.entry.name, channel)
  }

  /** It is not among them any more; closing it is the caller's. */
  remove(channel: Channel): void {
    this.#byChannel.delete(channel.name)
    this.#byConnector.delete(channel.entry.name)
  }

  get size(): number {
    return this.#byChannel.size
  }

  get(channel: string): Channel | undefined {
    return this.#byChannel.get(channel)
  }

  /** @throws `NOT_FOUND`. */
  require(channel: string): Channel {
    const found = this.#byChannel.get(channel)
    if (found !== undefined) return found
    throw new GatewayError('NOT_FOUND', 'There is no such channel.', { details: { channel } })
  }

  /** By the name in the configuration. */
  ofConnector(name: string): Channel | undefined {
    return this.#byConnector.get(name)
  }

  /** In the order of the configuration. */
  all(): Channel[] {
    return [...this.#byChannel.values()]
  }

  statuses(): ChannelStatus[] {
    return this.all().map((channel) => channel.status())
  }

  /** Calls back at each change of a channel's status. */
  onStatus(listener: (status: ChannelStatus) => void): void {
    this.#listeners.add(listener)
  }

  /** A channel's status has changed. */
  readonly changed = (status: ChannelStatus): void => {
    for (const listener of this.#listeners) listener(status)
  }

  /** Starts those that start with the gateway. */
  start(): void {
    for (const channel of this.all()) if (channel.entry.enabled) channel.start()
  }

  /** Resolves when all connections are closed; one that fails keeps no other open. Twice is fine. */
  async close(): Promise<void> {
    const ends = await Promise.allSettled(this.all().map((channel) => channel.close()))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}
