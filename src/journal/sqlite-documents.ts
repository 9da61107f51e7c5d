import type { Database } from 'better-sqlite3'
import type { DocumentPosition, DocumentRecord } from './documents.js'
import type { DocumentReads } from './reads.js'
import type { DocumentStore } from './store.js'

const prepareWrites = (db: Database) => ({
  put: db.prepare(
    'INSERT OR REPLACE INTO documents (kind, id, subject, at, expires_at, body) VALUES (?, ?, ?, ?, ?, ?)',
  ),
  remove: db.prepare('DELETE FROM documents WHERE kind = ? AND id = ?'),
})

/** The write side of the documents; the caller begins and ends the transactions. */
export class SqliteDocuments implements DocumentStore {
  readonly #sql: ReturnType<typeof prepareWrites>

  constructor(db: Database) {
    this.#sql = prepareWrites(db)
  }

  put({ kind, id, subject, at, expiresAt, body }: DocumentRecord): void {
    this.#sql.put.run(kind, id, subject, at, expiresAt, body)
  }

  remove(kind: string, id: string): boolean {
    return this.#sql.remove.run(kind, id).changes === 1
  }
}

const DOCUMENT = 'kind, id, subject, at, expires_at AS expiresAt, body'
const BEFORE = '(at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?'

const prepareReads = (db: Database) => ({
  document: db.prepare<unknown[], DocumentRecord>(
    `SELECT ${DOCUMENT} FROM documents WHERE kind = ? AND id = ?`,
  ),
  ofKind: db.prepare<unknown[], DocumentRecord>(
    `SELECT ${DOCUMENT} FROM documents WHERE kind = ? AND ${BEFORE}`,
  ),
  ofSubject: db.prepare<unknown[], DocumentRecord>(
    `SELECT ${DOCUMENT} FROM documents WHERE kind = ? AND subject = ? AND ${BEFORE}`,
  ),
})

/** Reads of the documents, on a connection of the caller's. */
export class SqliteDocumentReads implements DocumentReads {
  readonly #sql: ReturnType<typeof prepareReads>

  constructor(db: Database) {
    this.#sql = prepareReads(db)
  }

  document(kind: string, id: string): DocumentRecord | null {
    return this.#sql.document.get(kind, id) ?? null
  }

  page(
    kind: string,
    subject: string | null,
    before: DocumentPosition | null,
    limit: number,
  ): DocumentRecord[] {
    const { at, id } = before ?? { at: Number.MAX_SAFE_INTEGER, id: '' }
    return subject === null
      ? this.#sql.ofKind.all(kind, at, id, limit)
      : this.#sql.ofSubject.all(kind, subject, at, id, limit)
  }
}
