import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientAddress } from '../src/auth/client-address.js'
import { trustOf } from '../src/config/proxies.js'
import type { Config } from '../src/config/schema.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the client, as far as `trustProxy` lets a proxy say it. Unlike `ip` it is always an address. */
    readonly clientAddress: string
  }
}

/** Who asks behind a reverse proxy; says once when a proxy is there that `trustProxy` does not know (spec §5). */
export default fp<{ config: Pick<Config, 'trustProxy'> }>(
  async (app, { config }) => {
    const trust = trustOf(config.trustProxy)
    app.decorateRequest('clientAddress', {
      getter(this: FastifyRequest) {
        return clientAddress(this.raw, trust)
      },
    })

    let isTold = false
    app.addHook('onRequest', ({ raw, socket }, _reply, done) => {
      if (isTold || raw.headers['x-forwarded-for'] === undefined || trust(socket.remoteAddress, 0))
        return done()
      isTold = true
      app.log.warn(
        { peer: socket.remoteAddress },
        'X-Forwarded-For comes from an address that trustProxy does not name: limits count the proxy, not its clients',
      )
      done()
    })
  },
  { name: 'reverse-proxy', fastify: '5.x' },
)
