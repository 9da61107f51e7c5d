import type { FastifyInstance } from 'fastify'
import { endHttp, httpSpan } from '../src/tracing/spans.js'
import type { TraceContext } from '../src/tracing/trace-context.js'
import { NO_SPAN } from '../src/tracing/tracing.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of routes that are traced; null: no trace. */
    trace: TraceContext | null
  }
}

/** Makes the routes of a plugin part of traces. */
export function traceRoutes(app: FastifyInstance): void {
  app.decorateRequest('trace', null)
  app.addHook('onRequest', async (request, reply) => {
    const { method, protocol: scheme, headers } = request
    const span = httpSpan(app.tracing, { method, route: request.routeOptions.url ?? '', scheme, headers })
    if (span === NO_SPAN) return
    request.trace = span.trace
    // Not `onResponse`, which a client that hangs up leaves out.
    reply.raw.once('close', () => endHttp(span, reply.statusCode, reply.raw.writableFinished))
  })
}
