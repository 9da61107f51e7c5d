import type { FastifyInstance } from 'fastify'
import {
  gatewayHealth,
  gatewayInfo,
  gatewayPing,
  methodsList,
  PROTOCOL_VERSION,
} from '../../src/protocol/index.js'

/** `gateway.*` and `methods.*`. */
export default async function gatewayMethods(
  app: FastifyInstance,
  { version }: { version: string },
): Promise<void> {
  app.method(gatewayInfo, () => {
    const { dispatcher } = app.lanes
    return {
      name: 'lurkbot-gateway',
      version,
      protocol: PROTOCOL_VERSION,
      node: process.version,
      pid: process.pid,
      startedAt: app.lifecycle.startedAt,
      uptimeMs: app.health.uptimeMs,
      epoch: app.journal.epoch,
      seq: app.journal.head,
      connections: app.connections.size,
      lanes: { active: dispatcher.size, running: dispatcher.running, pending: dispatcher.pending },
    }
  })

  app.method(gatewayHealth, () => app.health.report())

  app.method(gatewayPing, ({ data }) => ({ pong: true as const, at: Date.now(), data: data ?? null }))

  app.method(methodsList, () => app.methods.catalogue())
}
