import type { FastifyInstance } from 'fastify'
import { requireUnconfined } from '../../src/auth/rights.js'
import { listConnections } from '../../src/connection/report.js'
import { connectionsClose, connectionsList, GatewayError } from '../../src/protocol/index.js'

const DEFAULT_PAGE = 50

/** `connections.*`: who is connected is not for credentials that are confined to some sessions. */
export default async function connectionMethods(app: FastifyInstance): Promise<void> {
  const { connections } = app

  app.method(connectionsList, ({ limit = DEFAULT_PAGE, ...query }, { principal }) => {
    requireUnconfined(principal)
    return listConnections(connections, query, limit)
  })

  app.method(connectionsClose, ({ connId, reason }, { principal, connection: own }) => {
    requireUnconfined(principal)
    const connection = connections.find(connId)
    if (connection === undefined || connection.state === 'closed') {
      throw new GatewayError('NOT_FOUND', 'There is no such connection.', { details: { connId } })
    }
    const close = () => connection.close('CLOSED_BY_OPERATOR', reason)
    // Whoever closes their own still gets the answer.
    if (connection === own) setImmediate(close)
    else close()
    return { closed: true as const }
  })
}
