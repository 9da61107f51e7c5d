import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { readCredentials } from '../src/auth/credentials.js'
import { Connection, type UpgradeInfo } from '../src/connection/connection.js'
import { GatewayError, PROTOCOL_VERSION } from '../src/protocol/index.js'

const kConnection = Symbol('connection')

type ConnectedSocket = WebSocket & { [kConnection]: Connection }

const connectionOf = (socket: WebSocket): Connection => (socket as ConnectedSocket)[kConnection]

/** Node leaves the response that it made for the upgrade request on the socket. */
type UpgradedSocket = Socket & { _httpMessage?: ServerResponse | null }

// Listeners are shared and find their connection through the socket: a closure each would keep the whole request alive.
function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  connectionOf(this).receive(data, isBinary)
}

function onPong(this: WebSocket): void {
  connectionOf(this).unansweredPings = 0
}

function onPing(this: WebSocket, data: Buffer): void {
  if (!connectionOf(this).outbox.congested) this.pong(data)
}

function onClose(this: WebSocket): void {
  connectionOf(this).ended()
}

/** `ws` closes with the fitting code (1002, 1007, 1009) by itself. */
function onError(): void {}

/** Credentials that contradict each other are refused with the hello: there is no frame to answer yet. */
function readUpgrade(request: FastifyRequest): UpgradeInfo {
  try {
    return { address: request.ip, secret: readCredentials(request.headers), problem: null }
  } catch (error) {
    return { address: request.ip, secret: null, problem: error as GatewayError }
  }
}

/** The frame protocol at `/ws` and at `/`, where plain HTTP gets the service's info (spec §1, §7). */
export default async function websocketRoutes(
  app: FastifyInstance,
  { version }: { version: string },
): Promise<void> {
  const { connections, auth } = app

  const accept = (socket: WebSocket, request: FastifyRequest): void => {
    const stream = (socket as unknown as { _socket: UpgradedSocket })._socket
    const upgrade = readUpgrade(request)
    const connection = new Connection(randomBytes(6).toString('hex'), socket, stream, upgrade, connections)
    // The framework's listener and the response on the socket would hold request and reply as long as the connection lives.
    socket.removeAllListeners('error')
    stream._httpMessage?.detachSocket(stream)
    ;(socket as ConnectedSocket)[kConnection] = connection
    socket
      .on('message', onMessage)
      .on('pong', onPong)
      .on('ping', onPing)
      .on('close', onClose)
      .on('error', onError)
    const refused = auth.originPolicy.check(request.raw)
    const full = connections.full
    connections.add(connection)
    if (refused !== null) connection.refuse('ORIGIN_REFUSED', new GatewayError('FORBIDDEN', refused.reason))
    else if (full)
      connection.refuse(
        'OVERLOADED',
        new GatewayError('UNAVAILABLE', 'The gateway has no room for another connection.', {
          retryAfterMs: 5000,
        }),
      )
    else if (app.lifecycle.stopping)
      connection.refuse(
        'SHUTTING_DOWN',
        new GatewayError('UNAVAILABLE', 'The gateway is stopping.', { retryAfterMs: 1000 }),
      )
  }

  app.get('/ws', { websocket: true }, accept)
  app.route({
    method: 'GET',
    url: '/',
    handler: async () => ({
      name: 'lurkbot-gateway',
      version,
      protocol: PROTOCOL_VERSION,
      links: { websocket: 'ws', health: 'health', metrics: 'metrics', methods: 'methods' },
    }),
    wsHandler: accept,
  })
}
