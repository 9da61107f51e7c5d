import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Timestamp } from '../primitives.js'

export const HealthCheck = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('failing')]),
  message: Type.Optional(Type.String()),
})

export const HealthReport = Type.Object(
  {
    status: Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('failing')], {
      description: '`failing`: not serving.',
    }),
    version: Type.String(),
    uptimeMs: Type.Integer({ minimum: 0 }),
    checks: Type.Record(Type.String(), HealthCheck),
  },
  { $id: 'HealthReport' },
)

export const gatewayInfo = contract({
  name: 'gateway.info',
  summary: 'Version, protocol, uptime and what is connected.',
  scope: 'read',
  params: Type.Object({}),
  result: Type.Object({
    name: Type.String(),
    version: Type.String(),
    protocol: Type.Integer(),
    node: Type.String(),
    pid: Type.Integer(),
    startedAt: Timestamp,
    uptimeMs: Type.Integer({ minimum: 0 }),
    epoch: Type.String(),
    seq: Type.Integer(),
    connections: Type.Integer({ minimum: 0 }),
    lanes: Type.Object({ active: Type.Integer(), running: Type.Integer(), pending: Type.Integer() }),
  }),
})

export const gatewayHealth = contract({
  name: 'gateway.health',
  summary: 'The same report as `GET /health`.',
  scope: 'read',
  params: Type.Object({}),
  result: HealthReport,
})

export const gatewayPing = contract({
  name: 'gateway.ping',
  summary: 'Echoes `data` with the gateway’s time.',
  scope: null,
  params: Type.Object({ data: Type.Optional(Type.Unknown()) }),
  result: Type.Object({ pong: Type.Literal(true), at: Timestamp, data: Type.Unknown() }),
})
