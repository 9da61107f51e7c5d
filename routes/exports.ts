import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { GatewayError } from '../src/protocol/errors.js'
import { traceRoutes } from './traced.js'

const SUFFIX = '/export'

/** A session and its messages as JSON lines, as fast as they are read. The key is the rest of the path: it may have slashes. */
export default async function exportRoutes(app: FastifyInstance): Promise<void> {
  traceRoutes(app)
  app.get<{ Params: { '*': string } }>(
    '/sessions/*',
    { onRequest: [app.auth.require('read')] },
    async ({ params: { '*': path }, principal }, reply) => {
      if (!path.endsWith(SUFFIX)) throw new GatewayError('NOT_FOUND', 'There is no such endpoint.')
      const key = path.slice(0, -SUFFIX.length)
      if (!principal!.allowsSession(key)) {
        throw new GatewayError('FORBIDDEN', 'These credentials may not see that session.', {
          details: { sessionKey: key },
        })
      }
      const lines = await app.conversations.lines(key)
      return reply.type('application/x-ndjson; charset=utf-8').send(Readable.from(lines))
    },
  )
}
