import type { FastifyInstance } from 'fastify'
import type { Config } from '../src/config/schema.js'
import { Scraper } from '../src/metrics/scrape.js'

/** Prometheus text, or OpenMetrics where the scraper asks for it. */
export default async function metricsRoutes(
  app: FastifyInstance,
  { config }: { config: Config },
): Promise<void> {
  const scraper = new Scraper(app.metrics.registry)
  const onRequest = config.metrics.auth ? [app.auth.require('read')] : []
  app.get('/metrics', { onRequest }, async (request, reply) => {
    const openMetrics = request.headers.accept?.includes('application/openmetrics-text') ?? false
    const { type, text } = await scraper.read(openMetrics)
    return reply.type(type).send(text)
  })
}
