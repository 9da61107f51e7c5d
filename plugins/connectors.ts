import { isDeepStrictEqual } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import type { Channel } from '../src/connectors/channel.js'
import { ChannelQuestions } from '../src/connectors/channel-questions.js'
import { Channels } from '../src/connectors/channels.js'
import { TEXTS } from '../src/connectors/commands.js'
import type { ConnectorFactory } from '../src/connectors/connector.js'
import { createChannel, notify } from '../src/connectors/host.js'
import { Pairing, toPairing } from '../src/connectors/pairing.js'
import { Previews } from '../src/connectors/preview.js'
import { type ConnectorEntry, ConnectorRegistry, closeConnectors } from '../src/connectors/registry.js'
import type { CheckResult } from '../src/health/health.js'
import type { Instruments } from '../src/metrics/instruments.js'
import { type ChannelState, EVENTS } from '../src/protocol/index.js'
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
  live: LiveConfig
  baseDir: string
  /** Who set each value, for messages. */
  sources?: ReadonlyMap<string, string>
}

/** The connectors: types are added while plugins load, configured ones listen from when the port is open until the lanes have drained. */
export default fp<ConnectorsPluginOptions>(
  async (app, { config, live, baseDir, sources }) => {
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
      get codeTtlMs() {
        return config.channels.pairing.codeTtlMs
      },
      get maxPending() {
        return config.channels.pairing.maxPending
      },
      get rejectedMs() {
        return config.channels.pairing.rejectedMs
      },
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

    const logs = new Map<string, FastifyBaseLogger>()
    const context = {
      env: process.env,
      maxAttachmentBytes: config.channels.maxAttachmentBytes,
      questions: config.channels.questions,
      logOf: (connector: string) => {
        const log = logs.get(connector) ?? app.log.child({ connector })
        logs.set(connector, log)
        return log
      },
    }
    // A child keeps the level that it was made with.
    live.onChanged(['log.level'], () => {
      for (const log of logs.values()) log.level = config.log.level
    })

    /** Those who were let in are known before the first message. */
    let isPrepared = false
    async function prepareFirst(): Promise<void> {
      if (isPrepared) return
      await pairing.load(journal)
      app.health.add('channels', () => healthOf(channels))
      isPrepared = true
    }

    function add(entry: ConnectorEntry): Channel {
      const channel = createChannel(entry, {
        config: config.channels,
        intake,
        lanes,
        sessions,
        deliveries: deliverer,
        pairing,
        questions,
        log,
        tracing: app.tracing,
        onStatus: channels.changed,
        observe: (channel, outcome) => instruments.channelMessages.inc({ channel, outcome }),
        onCommand: (command, sessionKey, source) =>
          app.hooks.emit({ name: `command:${command}`, sessionKey, source }),
      })
      channels.add(channel)
      deliverer.attach(channel)
      return channel
    }

    /** What is left of it is sent by its successor, should there be one. */
    async function remove(connector: string): Promise<void> {
      const channel = channels.ofConnector(connector)
      if (channel === undefined) return
      channels.remove(channel)
      deliverer.detach(channel.name)
      await channel
        .close()
        .catch((err: unknown) => log.error({ err, connector }, 'a connector failed to close'))
    }

    app.addHook('onReady', async () => {
      const entries = await registry.build(config.connectors, { ...context, baseDir, sources })
      if (entries.length === 0) return
      await prepareFirst()
      for (const entry of entries) add(entry)
    })
    live.onChange(['connectors'], async ({ before, after, baseDir, sources }) => {
      const { connectors } = after
      const isChanged = (name: string) => !isDeepStrictEqual(before.connectors[name], connectors[name])
      const names = Object.keys(connectors).filter(isChanged)
      const entries = await registry.make(connectors, names, { ...context, baseDir, sources })
      if (entries.length > 0) await prepareFirst()
      return {
        // One after the other: two connections of one account would take each other's messages.
        apply: async () => {
          await Promise.all(Object.keys(before.connectors).filter(isChanged).map(remove))
          for (const entry of entries) {
            const channel = add(entry)
            if (entry.enabled && app.server.listening && !app.lifecycle.stopping) channel.start()
          }
        },
        discard: () => closeConnectors(entries),
      }
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
    dependencies: [
      'closing',
      'tracing',
      'metrics',
      'hooks',
      'journal',
      'events',
      'lifecycle',
      'lanes',
      'outbox',
    ],
    fastify: '5.x',
  },
)

const STATES: readonly ChannelState[] = ['stopped', 'connecting', 'connected', 'waiting', 'failed']

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
  instruments.gauge(
    'gateway_channel_state',
    '1 for the state that the channel is in.',
    ['channel', 'state'],
    (set) => {
      for (const { channel, state: present } of channels.statuses()) {
        for (const state of STATES) set({ channel, state }, state === present ? 1 : 0)
      }
    },
  )
  instruments.counted(
    'gateway_channel_reconnects_total',
    'Attempts to connect after the first of each start.',
    ['channel'],
    (set) => {
      for (const channel of channels.all()) set({ channel: channel.name }, channel.reconnects)
    },
  )
}
