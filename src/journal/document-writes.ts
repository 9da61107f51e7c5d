import { begin, type Cell, type CellReader, end, putEntries, WRITE } from './cells.js'
import type { DocumentRecord } from './documents.js'
import type { Entry } from './journal.js'
import { addEntries, type Commit, LoggedWrite, Write } from './writes.js'

/** The values in the order in which `apply-documents.ts` takes them. */
export class SaveDocumentsWrite extends Write<void> {
  readonly #records: readonly DocumentRecord[]
  readonly #entries: readonly Entry[]

  constructor(records: readonly DocumentRecord[], entries: readonly Entry[]) {
    super()
    this.#records = records
    this.#entries = entries
  }

  encode(cells: Cell[]): number {
    const size = begin(cells, WRITE.saveDocuments)
    cells.push(this.#records.length)
    let chars = 0
    for (const { kind, id, subject, at, expiresAt, body } of this.#records) {
      cells.push(kind, id, subject, at, expiresAt, body)
      chars += body.length
    }
    chars += putEntries(cells, this.#entries)
    end(cells, size)
    return chars
  }

  protected decode(_status: number, first: number, _results: CellReader, commit: Commit): void {
    addEntries(commit, first, this.#entries)
  }
}

export class RemoveDocumentWrite extends LoggedWrite {
  readonly #kind: string
  readonly #id: string

  constructor(kind: string, id: string, entries: readonly Entry[]) {
    super(entries)
    this.#kind = kind
    this.#id = id
  }

  encode(cells: Cell[]): number {
    const size = begin(cells, WRITE.removeDocument)
    cells.push(this.#kind, this.#id)
    const chars = putEntries(cells, this.entries)
    end(cells, size)
    return chars
  }
}
