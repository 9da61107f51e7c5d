import { parentPort, workerData } from 'node:worker_threads'
import type { StoredEntry } from './journal.js'
import type { Page } from './reads.js'
import { hitOf, type SearchHit, type SearchLookup } from './search.js'
import { Sqlite } from './sqlite-driver.js'
import { errorCode } from './sqlite-errors.js'
import { matchOf } from './sqlite-search-index.js'

const BUSY_TIMEOUT_MS = 2_000

interface Match extends StoredEntry {
  /** Whether it is part of a conversation; 0: it is not, or no longer there. */
  readonly current: number
}

/** The rows that match, newest first, the ones that left their conversation among them: those were looked at as well. */
const MATCHES = `
  SELECT search.rowid AS seq, event, session_key AS sessionKey, at, payload,
    coalesce(entries.prev IS NOT NULL AND search.rowid > max(reset_seq, after_seq), 0) AS current
  FROM search LEFT JOIN entries ON entries.seq = search.rowid LEFT JOIN sessions ON sessions.key = session_key
  WHERE search MATCH ? AND search.rowid < ? ORDER BY search.rowid DESC LIMIT ?`

/** The file is open for as long as it is read, so that the writer can be alone with it when it has to. */
function search(path: string, lookup: SearchLookup): Page<SearchHit, number> {
  const db = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
  try {
    const items: SearchHit[] = []
    let looked = 0
    let last: number | null = null
    const matches = db.prepare<unknown[], Match>(MATCHES)
    for (const { current, ...entry } of matches.iterate(matchOf(lookup), lookup.before, lookup.rows)) {
      looked += 1
      last = entry.seq
      const hit = current === 1 ? hitOf(lookup.terms, entry) : null
      if (hit !== null) items.push(hit)
    }
    return { items, last: looked < lookup.rows ? null : last }
  } finally {
    db.close()
  }
}

const port = parentPort
if (port === null) throw new Error('a search runs in a thread of its own')
port.on('message', (lookup: SearchLookup) => {
  try {
    port.postMessage({ page: search(workerData as string, lookup) })
  } catch (error) {
    port.postMessage({
      code: errorCode(error),
      message: error instanceof Error ? error.message : String(error),
    })
  }
})
