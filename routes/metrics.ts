import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import type { Config } from '../src/config/schema.js'

/** Prometheus text, or OpenMetrics where the scraper asks for it. */
export default async function metricsRoutes(
  app: FastifyInstance,
  { config }: { config: Config },
): Promise<void> {
  const { registry } = app.metrics
  const onRequest = config.metrics.auth ? [app.auth.require('read')] : []
  app.get('/metrics', { onRequest }, async (request, reply) => {
    const openMetrics = request.headers.accept?.includes('application/openmetrics-text') ?? false
    const type = openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE
    registry.setContentType(type as typeof Registry.PROMETHEUS_CONTENT_TYPE)
    // Read in the same turn: another scrape may ask for the other format.
    const text = registry.metrics()
    return reply.type(type).send(await text)
  })
}
