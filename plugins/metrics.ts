import fp from 'fastify-plugin'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
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

let ofProcess: Metric[] | undefined

/** Made once a process: they watch it as long as it lives, and nothing ends that when an app closes. */
function processMetrics(): readonly Metric[] {
  if (ofProcess === undefined) {
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })
    const names = registry.getMetricsAsArray().map(({ name }) => name)
    ofProcess = names
      .filter((name) => !REJECTED.includes(name))
      .map((name) => registry.getSingleMetric(name)!)
  }
  return ofProcess
}

/** One registry an app; what other plugins count is read from them when Prometheus asks. */
export default fp(
  async (app) => {
    const registry = new Registry()
    const instruments = createInstruments(registry)
    for (const metric of processMetrics()) registry.registerMetric(metric)
    app.decorate('metrics', { registry, instruments })
    app.addHook('onClose', async () => {
      registry.clear()
    })
  },
  { name: 'metrics', fastify: '5.x' },
)
