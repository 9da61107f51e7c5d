import fp from 'fastify-plugin'
import { loadTracing, type Tracing } from '../src/tracing/tracing.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    tracing: Tracing
  }
}

/** Spans, where the operator has an OpenTelemetry SDK; the last ones are handed over when everything else has ended. */
export default fp(
  async (app) => {
    const tracing = await loadTracing()
    app.decorate('tracing', tracing)
    app.addHook('onClose', async () => app.closing.step('tracing', () => tracing.flush(), OTHERS_SHARE))
  },
  { name: 'tracing', dependencies: ['closing'], fastify: '5.x' },
)
