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
    return reply.type(type).send(await inTurn(() => scrape(registry, type)))
  })
}

let last: Promise<unknown> = Promise.resolve()

/** One scrape after the other, whichever gateway of this process it asks: they share metrics, and the format is a setting. */
function inTurn(work: () => Promise<string>): Promise<string> {
  const text = last.then(work)
  last = text.catch(() => {})
  return text
}

/** The text in one of the formats. OpenMetrics takes `_total` off the counters' names, which prom-client does for good. */
async function scrape(registry: Registry, type: string): Promise<string> {
  const names = registry.getMetricsAsArray().map((metric) => ({ metric, name: metric.name }))
  registry.setContentType(type as typeof Registry.PROMETHEUS_CONTENT_TYPE)
  try {
    return await registry.metrics()
  } finally {
    for (const { metric, name } of names) metric.name = name
  }
}
