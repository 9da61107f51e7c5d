import type { FastifyInstance } from 'fastify'

/** The catalogue of methods and events over HTTP. */
export default async function infoRoutes(app: FastifyInstance): Promise<void> {
  app.get('/methods', { onRequest: [app.auth.require('read')] }, async () => app.methods.catalogue())
}
