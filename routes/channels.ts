import type { FastifyInstance } from 'fastify'
import { GatewayError } from '../src/protocol/errors.js'
import { traceRoutes } from './traced.js'

/** Where platforms call their connectors, which check the signatures themselves: no token of the gateway is asked for. */
export default async function channelRoutes(app: FastifyInstance): Promise<void> {
  // Signatures are made of the body as it came.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  traceRoutes(app)
  const { channelRequests } = app.metrics.instruments
  app.addHook('onResponse', async (request, reply) => {
    const { name } = request.params as { name: string }
    const connector = app.channels.ofConnector(name) === undefined ? 'other' : name
    channelRequests.inc({ connector, status: String(reply.statusCode) })
  })

  app.post<{ Params: { name: string } }>('/channels/:name', async (request, reply) => {
    const channel = app.channels.ofConnector(request.params.name)
    if (channel === undefined) throw new GatewayError('NOT_FOUND', 'There is no such endpoint.')
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const {
      status,
      headers = {},
      body,
    } = await channel.endpoint({
      headers: singleHeaders(request.headers),
      body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
      remoteAddress: request.clientAddress,
      signal: gone.signal,
      trace: request.trace,
    })
    return reply.code(status).headers(headers).send(body)
  })
}

function singleHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}
