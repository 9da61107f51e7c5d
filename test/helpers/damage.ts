import { closeSync, openSync, writeSync } from 'node:fs'
import { Sqlite } from '../../src/journal/sqlite-driver.js'

/** Overwrites the page that a table or an index of a closed database begins with. */
export function damageTree(path: string, name: string): void {
  const db = new Sqlite(path)
  const page = db.pragma('page_size', { simple: true }) as number
  const root = db.prepare('SELECT rootpage FROM sqlite_master WHERE name = ?').pluck().get(name) as number
  // The log goes into the file, and the last to close removes it.
  db.close()
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(page, 0xa5), 0, page, (root - 1) * page)
  closeSync(file)
}
