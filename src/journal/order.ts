import type { SessionPosition } from './reads.js'

/** As SQLite compares: by UTF-8 bytes, which differs from JavaScript's order beyond the basic plane. */
export const compareText = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The order of lists: most recently updated first, then by key. */
export const compareSessions = (a: SessionPosition, b: SessionPosition) =>
  b.updatedAt - a.updatedAt || compareText(a.key, b.key)
