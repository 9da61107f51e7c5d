import type { ErrorShape } from '../protocol/index.js'
import { WRITE } from './cells.js'
import { GroupedDocuments } from './grouped-documents.js'
import type { Entry } from './journal.js'
import type {
  DeadDelivery,
  DeadDeliveryQuery,
  DeliveryRecord,
  NewDelivery,
  Outbox,
  PendingDelivery,
  SendKey,
  SentBefore,
} from './outbox.js'
import {
  EnqueueOnceWrite,
  EnqueueWrite,
  ReviveDeliveryWrite,
  savePeerWrite,
  UndeliverableWrite,
} from './outbox-writes.js'
import { COUNT_ROWS, PAGE_ROWS } from './paging.js'
import type { PeerRecord, Peers } from './peers.js'
import type { PeerPosition } from './reads.js'
import { PlainWrite } from './writes.js'

/** The outbox and the peers of a journal that groups its writes and pages through its reads. */
export abstract class GroupedOutbox extends GroupedDocuments implements Outbox, Peers {
  async enqueue(deliveries: readonly NewDelivery[]): Promise<void> {
    if (deliveries.length > 0) await this.write(new EnqueueWrite(deliveries))
  }

  enqueueOnce(delivery: NewDelivery, once: SendKey): Promise<SentBefore | null> {
    return this.write(new EnqueueOnceWrite(delivery, once))
  }

  abstract sentBefore(sessionKey: string, key: string): Promise<SentBefore | null>

  pendingDeliveries(): Promise<readonly PendingDelivery[]> {
    return this.collect(0, Number.POSITIVE_INFINITY, ({ outbox }, after) => outbox.pending(after, PAGE_ROWS))
  }

  delivery(id: string): Promise<DeliveryRecord | null> {
    return this.read(({ outbox }) => outbox.delivery(id))
  }

  partsSent(id: string, parts: number): Promise<boolean> {
    return this.write(new PlainWrite(WRITE.partsSent, id, parts))
  }

  delivered(id: string): Promise<boolean> {
    return this.write(new PlainWrite(WRITE.delivered, id))
  }

  undeliverable(
    id: string,
    error: ErrorShape,
    attempts: number,
    entries: readonly Entry[],
  ): Promise<boolean> {
    return this.write(new UndeliverableWrite(id, error, attempts, entries))
  }

  deadDeliveries(query: DeadDeliveryQuery): Promise<DeadDelivery[]> {
    const { channel, sessionKey, accept, limit, after = 0 } = query
    const matches = (itsChannel: string, key: string) =>
      (channel === undefined || itsChannel === channel) &&
      (sessionKey === undefined || key === sessionKey) &&
      (accept === undefined || accept(key))
    return this.collect(after, limit, ({ outbox }, from) => outbox.deadOnes(from, PAGE_ROWS, matches))
  }

  deadDelivery(id: string): Promise<DeadDelivery | null> {
    return this.read(({ outbox }) => outbox.dead(id))
  }

  reviveDelivery(id: string): Promise<PendingDelivery | null> {
    return this.write(new ReviveDeliveryWrite(id))
  }

  discardDelivery(id: string): Promise<boolean> {
    return this.write(new PlainWrite(WRITE.discardDelivery, id))
  }

  async deadDeliveryStats(): Promise<{ readonly count: number; readonly oldestAt: number | null }> {
    const counts = await this.collect(0, Number.POSITIVE_INFINITY, ({ outbox }, after) =>
      outbox.countDead(after, COUNT_ROWS),
    )
    const count = counts.reduce((sum, part) => sum + part, 0)
    return { count, oldestAt: await this.read(({ outbox }) => outbox.oldestDeath()) }
  }

  peers(): Promise<PeerRecord[]> {
    return this.collect<PeerRecord, PeerPosition | null>(
      null,
      Number.POSITIVE_INFINITY,
      ({ outbox }, after) => outbox.peers(after, PAGE_ROWS),
    )
  }

  async savePeer(record: PeerRecord): Promise<void> {
    await this.write(savePeerWrite(record))
  }

  removePeer(channel: string, peer: string): Promise<boolean> {
    return this.write(new PlainWrite(WRITE.removePeer, channel, peer))
  }
}
