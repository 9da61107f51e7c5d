import { EventEmitter } from 'node:events'
import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { isWebSocketUpgrade } from '../src/auth/credentials.js'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Emits the `upgrade` events of the server that ask for a WebSocket. */
    webSocketUpgrades: Server
  }
}

/**
 * HTTP upgrades: only to WebSockets, only where a route takes them, and never a socket left behind. A client that offers
 * another protocol (`h2c`) gets the plain response of a server without upgrades (RFC 9110 §7.8).
 */
export default fp(
  async (app) => {
    const upgrades = new EventEmitter()
    app.decorate('webSocketUpgrades', upgrades as Server)
    app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (isWebSocketUpgrade(request.headers)) {
        upgrades.emit('upgrade', request, socket, head)
      } else {
        socket.on('error', () => socket.destroy())
        const response = new ServerResponse(request)
        response.shouldKeepAlive = false
        response.assignSocket(socket)
        app.routing(request, response)
      }
      endAfterResponse(socket)
    })

    const paths = new Set<string>()
    app.addHook('onRoute', ({ url, websocket, wsHandler }) => {
      if (websocket || wsHandler) paths.add(url)
    })
    app.addHook('onRequest', (request, reply, done) => {
      if (!isWebSocketUpgrade(request.headers) || paths.has(request.routeOptions.url ?? '')) return done()
      const error = new GatewayError('NOT_FOUND', `There is no WebSocket at ${request.url.split('?', 1)[0]}.`)
      reply
        .code(404)
        .header('connection', 'close')
        .send({ error: toErrorShape(error) })
    })
  },
  { name: 'upgrades', fastify: '5.x' },
)

/** Node has handed the socket over: no HTTP server ends it. A WebSocket that was accepted has no response any more. */
function endAfterResponse(socket: Socket & { _httpMessage?: ServerResponse | null }): void {
  socket._httpMessage?.once('finish', () => socket.destroySoon())
}
