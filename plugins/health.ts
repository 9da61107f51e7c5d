import fp from 'fastify-plugin'
import { deliveryHealth } from '../src/connectors/delivery-health.js'
import { Health } from '../src/health/health.js'

declare module 'fastify' {
  interface FastifyInstance {
    health: Health
  }
}

/** Collects the checks of the other plugins. */
export default fp<{ version: string }>(
  async (app, { version }) => {
    const { lifecycle, journal, lanes, deliverer, metrics, overload } = app
    const health = new Health(version)
    health.add('lifecycle', () =>
      lifecycle.leaving ? { status: 'failing', message: 'stopping' } : { status: 'ok' },
    )
    health.add('journal', () => journal.health())
    health.add('lanes', () => {
      const { pending, limits } = lanes.dispatcher
      return pending < limits.maxPending
        ? { status: 'ok' }
        : { status: 'degraded', message: 'full: new events are refused' }
    })
    health.add('outbox', () => deliveryHealth(deliverer))
    health.add('memory', () => overload.memory.health())
    health.add('eventLoop', () => overload.loopDelay.health())
    app.decorate('health', health)
    metrics.instruments.gauge('gateway_health', '1: ok, 0.5: degraded, 0: failing.', ['check'], (set) => {
      const value = { ok: 1, degraded: 0.5, failing: 0 }
      for (const [check, { status }] of Object.entries(health.report().checks)) set({ check }, value[status])
    })
  },
  {
    name: 'health',
    dependencies: ['lifecycle', 'journal', 'lanes', 'outbox', 'metrics', 'overload'],
    fastify: '5.x',
  },
)
