import { setTimeout as sleep } from 'node:timers/promises'
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
  /** True from the first moment of a stop on: not ready any more. */
  leaving: boolean
  /** True once the delay of a stop is over: nothing new is accepted. */
  stopping: boolean
  /** Set before `close()` when another instance takes over: clients are told to come back (1012 instead of 1001). */
  restarting: boolean
}

/** Says that the gateway starts and stops; first in line when it stops, before the lanes drain. */
export default fp<{ config: Config }>(
  async (app, { config }) => {
    const lifecycle: Lifecycle = {
      startedAt: Date.now(),
      leaving: false,
      stopping: false,
      restarting: false,
    }
    app.decorate('lifecycle', lifecycle)
    app.addHook('onListen', async () => app.hooks.emit({ name: 'gateway:started' }))
    app.addHook('preClose', async () => {
      if (lifecycle.leaving) return
      lifecycle.leaving = true
      const { restarting: restart } = lifecycle
      const { delayMs, drainTimeoutMs } = config.shutdown
      // A restart in place is over before a load balancer has noticed it.
      if (delayMs > 0 && !restart && app.server.listening) await sleep(delayMs)
      lifecycle.stopping = true
      app.hooks.emit({ name: 'gateway:stopping', restart })
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
