import type { DocumentPosition } from '../journal/documents.js'
import { GatewayError } from '../protocol/errors.js'

const DEFAULT_PAGE = 50

/** Opaque to clients: the place after something in a list. */
export function encodePosition({ at, id }: DocumentPosition): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url')
}

/** @throws `INVALID_REQUEST` for anything that `encodePosition` did not make. */
export function decodePosition(cursor: string): DocumentPosition {
  try {
    const [at, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown]
    if (typeof at === 'number' && typeof id === 'string') return { at, id }
  } catch {}
  const path = 'params.cursor'
  const expected = 'a nextCursor of this list'
  throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

/** A page of what is in memory, newest first; what comes or goes meanwhile moves nothing of the rest. */
export function pageOf<T>(
  items: readonly T[],
  positionOf: (item: T) => DocumentPosition,
  { limit = DEFAULT_PAGE, cursor }: { readonly limit?: number; readonly cursor?: string },
): { page: T[]; nextCursor: string | null } {
  const after = cursor === undefined ? null : decodePosition(cursor)
  const rest = items
    .map((item) => ({ item, position: positionOf(item) }))
    .filter(({ position }) => after === null || order(position, after) > 0)
    .sort((a, b) => order(a.position, b.position))
  const page = rest.slice(0, limit)
  const last = rest.length > limit ? page.at(-1) : undefined
  return {
    page: page.map(({ item }) => item),
    nextCursor: last === undefined ? null : encodePosition(last.position),
  }
}

function order(a: DocumentPosition, b: DocumentPosition): number {
  return b.at - a.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
