import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { readCredentials } from '../src/auth/credentials.js'
import { Connection } from '../src/connection/connection.js'
import type { UpgradeInfo } from '../src/connection/inbound.js'
import { GatewayError, PROTOCOL_VERSION, toErrorShape } from '../src/protocol/index.js'

const connectionOf = new WeakMap<WebSocket, Connection>()

// Listeners are shared and find their connection through the socket: a closure each would keep the whole request alive.
function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  connectionOf.get(this)!.receive(data, isBinary)
}

function onPong(this: WebSocket): void {
  connectionOf.get(this)!.ponged()
}

function onPing(this: WebSocket, data: Buffer): void {
  connectionOf.get(this)!.pinged(data)
}

function onClose(this: WebSocket): void {
  connectionOf.get(this)!.ended()
}

function onError(this: WebSocket, error: Error): void {
  connectionOf.get(this)!.failed(error)
}

/** What `ws` keeps of a connection. */
interface Parts {
  readonly _socket: Socket & { _httpMessage?: ServerResponse }
  readonly _receiver: Writable
}

/** `ws` ends what has ended, three times a connection; each time Node makes an error of that, with a stack, for nobody. */
function endOnce<T extends Writable>(this: T, ...given: unknown[]): T {
  if (given.length === 0 && this.writableEnded) return this
  return Reflect.apply((Object.getPrototypeOf(this) as T).end, this, given)
}

/** Credentials that contradict each other are refused with the hello: there is no frame to answer yet. */
function readUpgrade(request: FastifyRequest): UpgradeInfo {
  try {
    return { address: request.clientAddress, secret: readCredentials(request.headers), problem: null }
  } catch (error) {
    return { address: request.clientAddress, secret: null, problem: error as GatewayError }
  }
}

/** The frame protocol at `/ws` and at `/`, where plain HTTP gets the service's info (spec §1, §7). */
export default async function websocketRoutes(
  app: FastifyInstance,
  { version }: { version: string },
): Promise<void> {
  const { connections, auth } = app

  const accept = (socket: WebSocket, request: FastifyRequest): void => {
    const { _socket: stream, _receiver: receiver } = socket as unknown as Parts
    stream.end = endOnce
    receiver.end = endOnce
    const upgrade = readUpgrade(request)
    const connection = new Connection(randomUUID().slice(0, 13), socket, stream, upgrade, connections)
    // What was made for an HTTP response would be kept, with its request, for as long as the socket lives.
    stream._httpMessage?.detachSocket(stream)
    socket.removeAllListeners('error')
    connectionOf.set(socket, connection)
    socket
      .on('message', onMessage)
      .on('pong', onPong)
      .on('ping', onPing)
      .on('close', onClose)
      .on('error', onError)
    const { headers, host, raw } = request
    const refused = auth.originPolicy.check({ headers, host, rawHeaders: raw.rawHeaders })
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
        app.lifecycle.restarting ? 'RESTARTING' : 'SHUTTING_DOWN',
        new GatewayError('UNAVAILABLE', 'The gateway is stopping.', { retryAfterMs: 1000 }),
      )
  }

  app.route({
    method: 'GET',
    url: '/ws',
    // RFC 9110 §15.5.22, which no code of the table stands for.
    handler: async (_request, reply) => {
      const error = new GatewayError('INVALID_REQUEST', 'This is a WebSocket: connect with ws:// or wss://.')
      return reply
        .code(426)
        .headers({ upgrade: 'websocket', connection: 'upgrade' })
        .send({ error: toErrorShape(error) })
    },
    wsHandler: accept,
  })
  app.route({
    method: 'GET',
    url: '/',
    handler: async ({ url }) => ({
      name: 'lurkbot-gateway',
      version,
      protocol: PROTOCOL_VERSION,
      links: linksFrom(url),
    }),
    wsHandler: accept,
  })
}

/** Relative to the address that was asked for: without a slash at its end (`/gateway`) its last segment belongs to them. */
function linksFrom(url: string) {
  const path = url.split('?', 1)[0]!
  const below = path.endsWith('/') ? '' : `${path.slice(path.lastIndexOf('/') + 1)}/`
  return {
    websocket: `${below}ws`,
    health: `${below}health`,
    metrics: `${below}metrics`,
    methods: `${below}methods`,
    openapi: `${below}openapi.json`,
    asyncapi: `${below}asyncapi.json`,
  }
}
