import { GatewayError } from '../protocol/errors.js'

/** Opaque to clients: the position after a session in the list. */
export function encodeCursor(position: { updatedAt: number; key: string }): string {
  return Buffer.from(JSON.stringify([position.updatedAt, position.key])).toString('base64url')
}

/** @throws `INVALID_REQUEST` for anything that `encodeCursor` did not make. */
export function decodeCursor(cursor: string): { updatedAt: number; key: string } {
  try {
    const [updatedAt, key] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown]
    if (typeof updatedAt === 'number' && typeof key === 'string') return { updatedAt, key }
  } catch {}
  throw invalidCursor()
}

/** The cursor of lists in the order of the journal is a `seq`. @throws `INVALID_REQUEST` for anything else. */
export function decodeSeqCursor(cursor: string): number {
  const seq = Number(cursor)
  if (/^\d+$/.test(cursor) && Number.isSafeInteger(seq)) return seq
  throw invalidCursor()
}

export function invalidCursor(): GatewayError {
  const path = 'params.cursor'
  const expected = 'a nextCursor of this list'
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
