import type { PeerRecord, Peers } from '../../src/journal/peers.js'

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
