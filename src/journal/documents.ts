import type { Entry } from './journal.js'

/** A small thing that outlives a restart: a schedule, one of its runs, a device, a line of the audit log. */
export interface DocumentRecord {
  /** What it is. How many there are of a kind is bounded by whoever keeps that kind. */
  readonly kind: string
  /** Within its kind. */
  readonly id: string
  /** What it belongs to, where lists are asked for by that, as the schedule of a run. */
  readonly subject: string | null
  /** Its place in lists. Milliseconds since the Unix epoch, as the others here. */
  readonly at: number
  /** From then on retention removes it, soon but not at once. Null: it stays. */
  readonly expiresAt: number | null
  /** JSON text. */
  readonly body: string
}

export type DocumentPosition = Pick<DocumentRecord, 'at' | 'id'>

export interface DocumentQuery {
  readonly kind: string
  readonly subject?: string
  readonly limit: number
  /** The last one of the page before. */
  readonly before?: DocumentPosition
}

/** The part of the journal that keeps what is neither event, session nor delivery. Writes resolve once they are on disk. */
export interface Documents {
  document(kind: string, id: string): Promise<DocumentRecord | null>
  /** By `at` and then `id`, newest first. */
  documents(query: DocumentQuery): Promise<DocumentRecord[]>
  /** Inserts or replaces them, and logs the entries in the same commit. */
  saveDocuments(records: readonly DocumentRecord[], entries?: readonly Entry[]): Promise<void>
  /** False: there is none, and nothing was logged. */
  removeDocument(kind: string, id: string, entries?: readonly Entry[]): Promise<boolean>
}
