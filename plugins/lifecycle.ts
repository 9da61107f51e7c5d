import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { EVENTS } from '../src/protocol/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    lifecycle: Lifecycle
  }
}

export interface Lifecycle {
  readonly startedAt: number
  /** True from the first moment of a stop on: nothing new is accepted. */
  stopping: boolean
  /** Set before `close()` when another instance takes over: clients are told to come back (1012 instead of 1001). */
  restarting: boolean
}

/** Says that the gateway starts and stops; first in line when it stops, before the lanes drain. */
export default fp<{ config: Config }>(
  async (app, { config }) => {
    const lifecycle: Lifecycle = { startedAt: Date.now(), stopping: false, restarting: false }
    app.decorate('lifecycle', lifecycle)
    app.addHook('onListen', async () => app.hooks.emit({ name: 'gateway:started' }))
    app.addHook('preClose', async () => {
      if (lifecycle.stopping) return
      lifecycle.stopping = true
      const { restarting: restart } = lifecycle
      app.hooks.emit({ name: 'gateway:stopping', restart })
      const { drainTimeoutMs } = config.shutdown
      const payload = JSON.stringify({ reason: restart ? 'restart' : 'stop', restart, drainTimeoutMs })
      app.events.broadcast({
        event: EVENTS.gatewayShutdown.name,
        sessionKey: null,
        at: Date.now(),
        payload,
        seq: 0,
      })
    })
  },
  { name: 'lifecycle', dependencies: ['events', 'hooks'], fastify: '5.x' },
)
