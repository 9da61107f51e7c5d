import type { DocumentPosition, DocumentRecord } from './documents.js'
import { compareText } from './order.js'
import type { DocumentReads } from './reads.js'
import type { DocumentStore } from './store.js'

const newestFirst = (a: DocumentPosition, b: DocumentPosition) => b.at - a.at || compareText(b.id, a.id)

/** The table `documents` of the SQLite journal as a map. */
export class MemoryDocuments implements DocumentStore, DocumentReads {
  readonly #rows = new Map<string, DocumentRecord>()

  put(row: DocumentRecord): void {
    this.#rows.set(keyOf(row.kind, row.id), row)
  }

  remove(kind: string, id: string): boolean {
    return this.#rows.delete(keyOf(kind, id))
  }

  removeExpired(cutoff: number): void {
    for (const [key, { expiresAt }] of this.#rows) {
      if (expiresAt !== null && expiresAt <= cutoff) this.#rows.delete(key)
    }
  }

  document(kind: string, id: string): DocumentRecord | null {
    return this.#rows.get(keyOf(kind, id)) ?? null
  }

  page(
    kind: string,
    subject: string | null,
    before: DocumentPosition | null,
    limit: number,
  ): DocumentRecord[] {
    return [...this.#rows.values()]
      .filter((row) => row.kind === kind && (subject === null || row.subject === subject))
      .filter((row) => before === null || newestFirst(row, before) > 0)
      .sort(newestFirst)
      .slice(0, limit)
  }
}

const keyOf = (kind: string, id: string) => JSON.stringify([kind, id])
