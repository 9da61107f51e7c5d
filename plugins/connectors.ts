import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { ChannelQuestions } from '../src/connectors/channel-questions.js'
import { Channels } from '../src/connectors/channels.js'
import { TEXTS } from '../src/connectors/commands.js'
import type { ConnectorFactory } from '../src/connectors/connector.js'
import { createChannel, notify } from '../src/connectors/host.js'
import { Pairing, toPairing } from '../src/connectors/pairing.js'
import { Previews } from '../src/connectors/preview.js'
import { ConnectorRegistry } from '../src/connectors/registry.js'
import type { CheckResult } from '../src/health/health.js'
import type { Instruments } from '../src/metrics/instruments.js'
import { EVENTS } from '../src/protocol/index.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    channels: Channels
    pairing: Pairing
    previews: Previews
    /** Adds a type of connector that entries under `connectors:` may name. */
    connector(type: string, factory: ConnectorFactory): void
  }
}

export interface ConnectorsPluginOptions {
  config: Config
  baseDir: string
  /** Who set each value, for messages. */
  sources?: ReadonlyMap<string, string>
}

/** The connectors: types are added while plugins load, configured ones listen from when the port is open until the lanes have drained. */
export default fp<ConnectorsPluginOptions>(
  async (app, { config, baseDir, sources }) => {
    const { log, intake, lanes, sessions, journal, deliverer } = app
    const { instruments } = app.metrics
    const registry = new ConnectorRegistry()
    const channels = new Channels()
    const tell = (event: string, payload: object) =>
      app.events.broadcast({
        event,
        sessionKey: null,
        at: Date.now(),
        payload: JSON.stringify(payload),
        seq: 0,
      })
    const pairing = new Pairing({
      ...config.channels.pairing,
      log,
      onRequested: (record) => tell(EVENTS.pairingRequested.name, { pairing: toPairing(record, true) }),
      onResolved: (record, approved) => {
        tell(EVENTS.pairingResolved.name, { pairing: toPairing(record, false), approved })
        if (channels.get(record.channel) === undefined) return
        const text = approved ? TEXTS.paired : TEXTS.rejected
        notify(deliverer, record.channel, record.target, text, null).catch((err: unknown) =>
          log.warn({ err, channel: record.channel }, 'a peer could not be told what was decided'),
        )
      },
    })
    const questions = new ChannelQuestions({
      channels,
      questions: app.questions,
      deliveries: deliverer,
      log,
    })
    app.questions.follow(questions)
    app.decorate('channels', channels)
    app.decorate('pairing', pairing)
    app.decorate('previews', new Previews({ channel: (name) => channels.get(name), log }))
    app.decorate('connector', (type, factory) => registry.register(type, factory))
    measure(instruments, channels)
    channels.onStatus((status) => {
      tell(EVENTS.channelStatus.name, status)
      if (status.state === 'connected') deliverer.ready(status.channel)
    })

    app.addHook('onReady', async () => {
      const { maxAttachmentBytes } = config.channels
      const logOf = (connector: string) => log.child({ connector })
      const entries = await registry.build(config.connectors, {
        logOf,
        baseDir,
        env: process.env,
        maxAttachmentBytes,
        questions: config.channels.questions,
        sources,
      })
      if (entries.length === 0) return
      await pairing.load(journal)
      for (const entry of entries) {
        const channel = createChannel(entry, {
          config: config.channels,
          intake,
          lanes,
          sessions,
          deliveries: deliverer,
          pairing,
          questions,
          log,
          onStatus: channels.changed,
          observe: (channel, outcome) => instruments.channelMessages.inc({ channel, outcome }),
        })
        channels.add(channel)
        deliverer.attach(channel)
      }
      app.health.add('channels', () => healthOf(channels))
    })
    app.addHook('onListen', async () => {
      if (!app.lifecycle.stopping) channels.start()
    })
    const close = () => app.closing.step('channels', () => channels.close(), OTHERS_SHARE)
    app.addHook('preClose', close)
    // A gateway that never listened has no `preClose`.
    app.addHook('onClose', close)
  },
  {
    name: 'connectors',
    dependencies: ['closing', 'metrics', 'journal', 'events', 'lifecycle', 'lanes', 'outbox'],
    fastify: '5.x',
  },
)

function healthOf(channels: Channels): CheckResult {
  const down = channels
    .statuses()
    .filter(({ state }) => state === 'waiting' || state === 'failed')
    .map(({ channel, state }) => `${channel} (${state})`)
  return down.length === 0
    ? { status: 'ok' }
    : { status: 'degraded', message: `not connected: ${down.join(', ')}` }
}

function measure(instruments: Instruments, channels: Channels): void {
  instruments.gauge('gateway_channel_up', 'Whether the channel is connected.', ['channel'], (set) => {
    for (const channel of channels.all()) set({ channel: channel.name }, channel.ready ? 1 : 0)
  })
  instruments.counted(
    'gateway_channel_reconnects_total',
    'Attempts to connect after the first of each start.',
    ['channel'],
    (set) => {
      for (const channel of channels.all()) set({ channel: channel.name }, channel.reconnects)
    },
  )
}
