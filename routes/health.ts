import type { FastifyInstance } from 'fastify'

/** Probes for orchestrators (spec §7): the process lives; the gateway takes work; what each check says. */
export default async function healthRoutes(app: FastifyInstance): Promise<void> {
  app.get('/health', async (_request, reply) => {
    const report = app.health.report()
    return reply.code(report.status === 'failing' ? 503 : 200).send(report)
  })

  for (const path of ['/health/live', '/live']) app.get(path, async () => ({ status: 'ok' }))

  for (const path of ['/health/ready', '/ready']) {
    app.get(path, async (_request, reply) => {
      const { status } = app.health.report()
      return reply.code(status === 'failing' ? 503 : 200).send({ status })
    })
  }
}
