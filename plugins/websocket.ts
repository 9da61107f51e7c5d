import { setImmediate as nextTurn } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import fp from 'fastify-plugin'
import { selectProtocol } from '../src/auth/credentials.js'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { Connections } from '../src/connection/connections.js'
import { Handshake } from '../src/connection/handshake.js'
import { publishFrame } from '../src/connection/publish.js'
import type { Instruments } from '../src/metrics/instruments.js'
import type { ErrorCode } from '../src/protocol/index.js'
import upgrades from './upgrades.js'

declare module 'fastify' {
  interface FastifyInstance {
    connections: Connections
  }
}

export interface WebsocketPluginOptions {
  config: Config
  live: LiveConfig
  version: string
}

/** The share of a stop's time that sends on their way to a slow disk may take. */
const SENDS_SHARE = 0.25

/** Frames over WebSockets (spec §1): all connections, their handshake, heartbeat and end. */
export default fp<WebsocketPluginOptions>(
  async (app, { config, live, version }) => {
    const { instruments } = app.metrics
    const { auth, journal, events: broadcaster, methods, sessions, intake, log } = app
    const handshake = new Handshake({
      config,
      version,
      auth,
      devices: app.devices,
      usages: app.usages,
      journal,
      methodNames: () => methods.names,
      snapshot: (principal) => sessions.snapshot(principal),
      channels: () => app.channels.statuses(),
      cronJobs: (principal) => app.scheduler.snapshot(principal),
    })
    const rpc = rpcObserver(instruments)
    const connections = new Connections({
      config,
      broadcaster,
      methods,
      audit: app.audit,
      usages: app.usages,
      log,
      observeRequest: rpc,
      tracing: app.tracing,
      handshake: handshake.answer,
      publish: (connection, frame) => publishFrame(connection, frame, intake),
      onRefused: (reason) => instruments.handshakesRefused.inc({ reason: reason.toLowerCase() }),
    })
    app.decorate('connections', connections)
    // In the next turn, so that who has ended its own credentials still gets the answer.
    auth.identities.onEnded((ended, reason) => setImmediate(() => connections.closeEnded(ended, reason)))
    await app.register(upgrades)
    // Not as a literal: the types of `ws` lack `closeTimeout`.
    const options = {
      server: app.webSocketUpgrades,
      maxPayload: config.connection.maxPayloadBytes,
      maxBufferedChunks: maxPieces(config),
      maxFragments: maxPieces(config),
      perMessageDeflate: false,
      clientTracking: false,
      // Pongs are sent by the connection, which looks at its outbox first.
      autoPong: false,
      closeTimeout: config.connection.closeGraceMs,
      handleProtocols: selectProtocol,
    }
    // The plugin's own `preClose` would wait for every peer.
    await app.register(websocket, { options, preClose: (done) => done() })
    measure(instruments, connections)
    live.onChanged(['rateLimit.frames'], () => {
      const { max, windowMs } = config.rateLimit.frames
      for (const connection of connections) connection.limitFrames(max, windowMs)
    })
    live.onChanged(['connection.maxInFlight'], () => handshake.renewPolicy())
    live.onChanged(['auth.limits'], () => {
      app.usages.renewLimits()
      for (const connection of connections) connection.joinUsage()
    })
    app.overload.onSample(() => {
      if (app.overload.memory.over !== null) connections.shedSlowReaders()
    })

    app.addHook('onReady', async () => {
      // By now every method is there. An alert looks for the first error too, and what appears with 1 has not grown.
      for (const method of methods.names)
        instruments.rpcErrors.inc({ method, code: 'INTERNAL_ERROR' satisfies ErrorCode }, 0)
    })
    app.addHook('preClose', async () => {
      // However short the drain: a send that is refused after this was not stored.
      const answered = async () => {
        await app.lanes.dispatcher.stop()
        await nextTurn()
      }
      await app.closing.step('sends', answered, SENDS_SHARE)
      const reason = app.lifecycle.restarting ? 'RESTARTING' : 'SHUTTING_DOWN'
      await app.closing.step('connections', () => connections.closeAll(reason))
    })
  },
  {
    name: 'websocket',
    dependencies: [
      'closing',
      'tracing',
      'metrics',
      'overload',
      'lifecycle',
      'auth',
      'identities',
      'journal',
      'events',
      'methods',
      'lanes',
      'connectors',
      'scheduler',
    ],
    fastify: '5.x',
  },
)

/**
 * How many reads, or fragments, one message may come in. Each is kept apart until the message is whole, for some hundred bytes
 * beside its own: a megabyte sent byte by byte would take up a hundred.
 */
function maxPieces({ connection }: Config): number {
  return Math.max(1_024, Math.ceil(connection.maxPayloadBytes / 256))
}

/** Method names come from the registry: what a client made up is `unknown`. */
function rpcObserver(instruments: Instruments) {
  return (method: string, code: string, seconds: number) => {
    if (code !== 'OK')
      instruments.rpcErrors.inc({ method: code === 'METHOD_NOT_FOUND' ? 'unknown' : method, code })
    if (code === 'METHOD_NOT_FOUND') return
    instruments.rpcDuration.series(method).observe(seconds)
  }
}

function measure(instruments: Instruments, connections: Connections): void {
  const { stats, flusher } = connections
  instruments.gauge('gateway_connections', 'Open WebSocket connections.', [], (set) =>
    set({}, connections.size),
  )
  instruments.counted('gateway_connections_total', 'WebSocket connections accepted.', [], (set) =>
    set({}, stats.accepted),
  )
  instruments.counted(
    'gateway_connections_closed_total',
    'Connections closed by the gateway.',
    ['reason'],
    (set) => {
      for (const [reason, count] of Object.entries(stats.closes)) set({ reason: reason.toLowerCase() }, count)
    },
  )
  instruments.counted('gateway_frames_total', 'WebSocket frames.', ['direction'], (set) => {
    set({ direction: 'in' }, stats.framesReceived)
    set({ direction: 'out' }, flusher.stats.framesSent)
  })
  instruments.counted('gateway_frames_refused_total', 'Inbound frames refused.', ['reason'], (set) => {
    set({ reason: 'malformed' }, stats.framesBad)
    set({ reason: 'rate_limited' }, stats.framesLimited)
  })
  instruments.counted('gateway_bytes_sent_total', 'Bytes written to WebSockets.', [], (set) =>
    set({}, flusher.stats.bytesSent),
  )
  instruments.counted(
    'gateway_socket_writes_total',
    'Writes to sockets; each takes all frames of a turn.',
    [],
    (set) => set({}, flusher.stats.writes),
  )
  instruments.counted(
    'gateway_slow_consumers_total',
    'Connections closed because they read too slowly.',
    [],
    (set) => set({}, stats.slowConsumers),
  )
  instruments.counted('gateway_deltas_dropped_total', 'Deltas left out for slow readers.', [], (set) =>
    set({}, flusher.stats.deltasDropped),
  )
}
