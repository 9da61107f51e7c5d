/** Someone on a channel who is not on its allow-list: asking to be let in, or let in. */
export interface PeerRecord {
  readonly channel: string
  /** The platform's id of the person, or of the group where one was paired whole. */
  readonly peer: string
  readonly name: string | null
  /** Where they asked. */
  readonly target: { readonly peer: string; readonly thread: string | null }
  /** What they were told, and an operator approves. Empty: they were refused, and cannot ask before `expiresAt`. */
  readonly code: string
  /** Milliseconds since the Unix epoch, as the others here. */
  readonly requestedAt: number
  readonly expiresAt: number
  /** Null: still asking. */
  readonly approvedAt: number | null
  /** The principal that approved. */
  readonly approvedBy: string | null
}

/** The part of the journal that knows who may write to the channels. Writes resolve once they are on disk. */
export interface Peers {
  /** All of them, by channel and peer; read at start. Bounded by who asked and who was approved. */
  peers(): Promise<PeerRecord[]>
  /** Inserts or replaces. */
  savePeer(record: PeerRecord): Promise<void>
  /** False: there is none. */
  removePeer(channel: string, peer: string): Promise<boolean>
}
