import fp from 'fastify-plugin'
import { Broadcaster } from '../src/events/broadcaster.js'
import { tellSessionStep } from '../src/hooks/session-steps.js'

declare module 'fastify' {
  interface FastifyInstance {
    events: Broadcaster
  }
}

/** Sends what the journal has committed, and what is not durable, to those who watch. */
export default fp(
  async (app) => {
    const broadcaster = new Broadcaster()
    app.decorate('events', broadcaster)
    app.journal.onCommit((entries) => {
      for (const entry of entries) {
        broadcaster.broadcast(entry)
        tellSessionStep(app.hooks, entry)
      }
    })

    const { instruments } = app.metrics
    instruments.counted('gateway_broadcast_events_total', 'Events sent out.', [], (set) =>
      set({}, broadcaster.stats.events),
    )
    instruments.counted(
      'gateway_broadcast_deliveries_total',
      'Events sent out, once for each receiver.',
      [],
      (set) => set({}, broadcaster.stats.deliveries),
    )
  },
  { name: 'events', dependencies: ['metrics', 'journal', 'hooks'], fastify: '5.x' },
)
