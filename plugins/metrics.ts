import fp from 'fastify-plugin'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { createInstruments, type Instruments } from '../src/metrics/instruments.js'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: { readonly registry: Registry; readonly instruments: Instruments }
  }
}

/** Metrics of the Node process whose names `promtool check metrics` rejects: gauges that end in `_total`. */
const REJECTED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

/** One registry an app; what other plugins count is read from them when Prometheus asks. */
export default fp(
  async (app) => {
    const registry = new Registry()
    const instruments = createInstruments(registry)
    collectDefaultMetrics({ register: registry })
    for (const name of REJECTED) registry.removeSingleMetric(name)
    app.decorate('metrics', { registry, instruments })
    app.addHook('onClose', async () => {
      registry.clear()
    })
  },
  { name: 'metrics', fastify: '5.x' },
)
