import { createRequire } from 'node:module'
import type Database from 'better-sqlite3'

/**
 * better-sqlite3 13 needs Node 22, and 12 ends the process on a newer Node 24 whenever a statement is collected as garbage
 * (WiseLibs/better-sqlite3#1515). Both are optional dependencies, and npm leaves out the one that the Node is too old for.
 */
const PACKAGE = Number.parseInt(process.versions.node, 10) < 22 ? 'better-sqlite3-node20' : 'better-sqlite3'

const load = (): typeof Database => {
  try {
    return createRequire(import.meta.url)(PACKAGE)
  } catch (cause) {
    const remedy = `install again with this Node (${process.version}) and with optional dependencies: npm ci`
    throw new Error(`the package ${PACKAGE}, which the journal needs, cannot be loaded: ${remedy}`, { cause })
  }
}

/** The one way to SQLite. */
export const Sqlite: typeof Database = load()
