import { RemoveDocumentWrite, SaveDocumentsWrite } from './document-writes.js'
import type { DocumentPosition, DocumentQuery, DocumentRecord, Documents } from './documents.js'
import { Grouped } from './grouped.js'
import type { Entry } from './journal.js'
import { PAGE_ROWS } from './paging.js'

/** The documents of a journal that groups its writes and pages through its reads. */
export abstract class GroupedDocuments extends Grouped implements Documents {
  document(kind: string, id: string): Promise<DocumentRecord | null> {
    return this.read(({ documents }) => documents.document(kind, id))
  }

  documents({ kind, subject, limit, before }: DocumentQuery): Promise<DocumentRecord[]> {
    return this.collect<DocumentRecord, DocumentPosition | null>(
      before ?? null,
      limit,
      ({ documents }, from, missing) => {
        const rows = Math.min(missing, PAGE_ROWS)
        const items = documents.page(kind, subject ?? null, from, rows)
        return { items, last: items.length < rows ? null : (items.at(-1) ?? null) }
      },
    )
  }

  async saveDocuments(records: readonly DocumentRecord[], entries: readonly Entry[] = []): Promise<void> {
    if (records.length > 0) await this.write(new SaveDocumentsWrite(records, entries))
  }

  removeDocument(kind: string, id: string, entries: readonly Entry[] = []): Promise<boolean> {
    return this.write(new RemoveDocumentWrite(kind, id, entries))
  }
}
