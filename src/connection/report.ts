import type { Static } from '@sinclair/typebox'
import type { ConnectionInfo } from '../protocol/index.js'
import { decodeSeqCursor } from '../sessions/cursor.js'
import type { Connection } from './connection.js'
import type { Connections } from './connections.js'

export type ConnectionReport = Static<typeof ConnectionInfo>

export interface ConnectionQuery {
  readonly principal?: string
  readonly worker?: boolean
  readonly cursor?: string
}

/** A page of the connections, longest connected first. @throws `INVALID_REQUEST` for a cursor that is none. */
export function listConnections(
  connections: Connections,
  { principal, worker, cursor }: ConnectionQuery,
  limit: number,
): { connections: ConnectionReport[]; total: number; nextCursor: string | null } {
  const after = cursor === undefined ? 0 : decodeSeqCursor(cursor)
  const found: Connection[] = []
  for (const connection of connections) {
    if (connection.number <= after) continue
    if (principal !== undefined && principalOf(connection)?.name !== principal) continue
    if (worker !== undefined && connection.isWorker !== worker) continue
    found.push(connection)
  }
  found.sort((a, b) => a.number - b.number)
  const page = found.slice(0, limit)
  return {
    connections: page.map(report),
    total: connections.size,
    nextCursor: found.length > limit ? String(page[page.length - 1]!.number) : null,
  }
}

function report(connection: Connection): ConnectionReport {
  const { id, state, client, address, openedAt, framesIn, outbox, inFlight, isWorker, services } = connection
  const principal = principalOf(connection)
  return {
    connId: id,
    state,
    principal: principal?.name ?? null,
    role: principal?.role ?? null,
    client,
    address,
    since: openedAt,
    framesIn,
    framesOut: outbox.framesOut,
    bufferedBytes: outbox.bufferedBytes,
    inFlight,
    subscriptions: services.broadcaster.selections(connection).length,
    worker: isWorker,
  }
}

/** Null before its hello was accepted. */
function principalOf(connection: Connection) {
  return connection.client === null ? null : connection.principal
}
