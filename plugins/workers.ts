import fp from 'fastify-plugin'
import { WorkerPool } from '../src/agents/worker/pool.js'
import { Workers } from '../src/agents/worker/workers.js'
import type { Connection } from '../src/connection/connection.js'
import { eventText } from '../src/events/event-frame.js'

declare module 'fastify' {
  interface FastifyInstance {
    workers: Workers<Connection>
    /** The agents of type `worker`, by name. */
    workerPools(): Iterable<readonly [name: string, pool: WorkerPool]>
  }
}

/** Brings the agents of type `worker` together with the connections that take their runs. */
export default fp(
  async (app) => {
    const { agents } = app
    const { instruments } = app.metrics
    const workers = new Workers<Connection>((connection) => {
      connection.onEnd(() => workers.ended(connection))
      const { outbox } = connection
      return {
        get congested() {
          return outbox.congested
        },
        writable: () => outbox.writable(),
        // As an answer, for it was asked for: the credit bounds it, and nothing is dropped.
        send: (event, sessionKey, payload) =>
          outbox.send(eventText({ event, sessionKey, payload, at: Date.now(), seq: 0 })),
      }
    })
    function* workerPools() {
      for (const name of agents.names()) {
        const agent = agents.get(name)?.agent
        if (agent instanceof WorkerPool) yield [name, agent] as const
      }
    }
    agents.onBuilt(({ agent }, before) => {
      if (agent instanceof WorkerPool && before?.agent instanceof WorkerPool) {
        workers.move(before.agent, agent, ({ principal }) => agent.admits(principal))
      }
    })
    app.decorate('workers', workers)
    app.decorate('workerPools', workerPools)

    instruments.gauge('gateway_workers', 'Connected workers.', ['agent'], (set) => {
      for (const [agent, pool] of workerPools()) set({ agent }, pool.status.connected)
    })
    instruments.gauge(
      'gateway_worker_credit',
      'Runs that the workers take at the same time.',
      ['agent'],
      (set) => {
        for (const [agent, pool] of workerPools()) set({ agent }, pool.status.credit)
      },
    )
    instruments.gauge('gateway_worker_runs', 'Runs that workers have.', ['agent'], (set) => {
      for (const [agent, pool] of workerPools()) set({ agent }, pool.status.running)
    })
    instruments.counted(
      'gateway_worker_handovers_total',
      'Runs that went on with another worker.',
      ['agent'],
      (set) => {
        for (const [agent, pool] of workerPools()) set({ agent }, pool.handovers)
      },
    )
  },
  { name: 'workers', dependencies: ['metrics', 'agents', 'websocket'], fastify: '5.x' },
)
