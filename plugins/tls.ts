import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { secureContextOptions, type TlsMaterial } from '../src/auth/tls-material.js'
import { TlsWatcher } from '../src/auth/tls-watcher.js'

/** What health and metrics show of the certificate. Times in ms since the epoch. */
export interface TlsStatus {
  /** When the certificate in use ends. */
  readonly expiresAt: number
  /** When a renewed one was last put to use; null: not since the start. */
  readonly lastReload: number | null
  /** Why what is in the files now is not in use; null: it is. */
  readonly lastError: string | null
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Null: TLS is off. */
    tls: TlsStatus | null
  }
}

export interface TlsPluginOptions {
  /** What the server was made with; null: TLS is off. */
  readonly material: TlsMaterial | null
  /** A renewal was put to use, or (with the reason) was not. */
  readonly onReload?: (error: Error | null) => void
}

/** Puts a renewed certificate to use: new connections see it, those that are open live on (spec §5). */
export default fp(
  async (app, { material, onReload }: TlsPluginOptions) => {
    if (material === null) {
      app.decorate('tls', null)
      return
    }
    const server = app.server as unknown as Server
    const watcher = new TlsWatcher({
      material,
      log: app.log,
      apply: (renewed) => server.setSecureContext(secureContextOptions(renewed)),
      onReload,
    })
    app.decorate('tls', {
      get expiresAt() {
        return watcher.material.expiresAt
      },
      get lastReload() {
        return watcher.lastReload
      },
      get lastError() {
        return watcher.lastError
      },
    })
    for (const warning of material.warnings) app.log.warn({}, warning)
    app.addHook('onClose', async () => {
      await watcher.close()
    })
    closeHandshakes(server)
    await watcher.start()
  },
  { name: 'tls', fastify: '5.x' },
)

/**
 * Node's `closeAllConnections` knows a connection once its handshake is done. One that is silent before that would hold a
 * stop for two minutes.
 */
function closeHandshakes(server: Server): void {
  const sockets = new Set<Socket>()
  const forget = function (this: Socket) {
    sockets.delete(this)
  }
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', forget)
  })
  const closeAll = server.closeAllConnections.bind(server)
  server.closeAllConnections = () => {
    closeAll()
    for (const socket of sockets) socket.destroy()
  }
}
