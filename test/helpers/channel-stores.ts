import type { Channels } from '../../src/connectors/channels.js'
import type { Deliveries } from '../../src/connectors/deliveries.js'
import type { NewDelivery } from '../../src/journal/outbox.js'
import type { PeerRecord, Peers } from '../../src/journal/peers.js'
import { until } from './until.js'

/** Who may write to the channels, in memory. */
export class MemoryPeers implements Peers {
  readonly records = new Map<string, PeerRecord>()
  /** Fails the next writes. */
  broken = false

  async peers(): Promise<PeerRecord[]> {
    return [...this.records.values()]
  }

  async savePeer(record: PeerRecord): Promise<void> {
    if (this.broken) throw new Error('disk full')
    this.records.set(`${record.channel} ${record.peer}`, record)
  }

  async removePeer(channel: string, peer: string): Promise<boolean> {
    return this.records.delete(`${channel} ${peer}`)
  }
}

/** Sends what is enqueued as soon as its channel is connected, in order; keeps nothing. */
export class MemoryDeliveries implements Deliveries {
  full = false
  #last: Promise<void> = Promise.resolve()
  readonly #ends = new Map<string, Promise<void>>()

  constructor(private readonly channels: Channels) {}

  async enqueue(deliveries: readonly NewDelivery[]): Promise<void> {
    for (const delivery of deliveries) {
      const end = this.#last.then(() => this.#deliver(delivery))
      this.#last = end.catch(() => {})
      this.#ends.set(delivery.id, end)
    }
  }

  hasRoom(): boolean {
    return !this.full
  }

  pending(): number {
    return 0
  }

  async wait(id: string): Promise<void> {
    await this.#ends.get(id)
  }

  async #deliver({ id, channel: name, peer, thread, content }: NewDelivery): Promise<void> {
    const channel = this.channels.require(name)
    await until(() => channel.ready)
    const split = channel.split(content.text)
    const texts = split.length > 0 ? split : ['']
    for (const [index, text] of texts.entries()) {
      const part = {
        target: { peer, thread },
        text,
        attachments: index === texts.length - 1 ? (content.attachments ?? []) : [],
        idempotencyKey: `${id}-${index}`,
        runId: content.runId ?? null,
        replyTo: content.replyTo ?? null,
        part: index + 1,
        parts: texts.length,
      }
      await channel.send(part, new AbortController().signal)
    }
  }
}
