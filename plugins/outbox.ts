import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { Deliverer, type DeliveryOutcome } from '../src/connectors/deliverer.js'
import type { Journal } from '../src/journal/journal.js'
import { observeDeadLetters } from '../src/metrics/dead-letters.js'
import type { Instruments } from '../src/metrics/instruments.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    deliverer: Deliverer
  }
}

/** The share of the time after the drain that what is being sent may take. */
const SENDING_SHARE = 0.25

const OUTCOMES: readonly DeliveryOutcome[] = ['delivered', 'retried', 'dead']

/** Says on the channels what is in the outbox of the journal; stops after the lanes, whose last answers it may still send. */
export default fp<{ config: Config; live: LiveConfig }>(
  async (app, { config, live }) => {
    const { journal, events, log, metrics } = app
    const { instruments } = metrics
    const { channels, shutdown } = config
    const names = new Set<string>()
    const readNames = () => {
      names.clear()
      for (const channel of channelNames(config)) {
        names.add(channel)
        // So that Prometheus sees the first one that dies.
        for (const outcome of OUTCOMES) instruments.deliveries.inc({ channel, outcome }, 0)
      }
    }
    readNames()
    const deliverer = new Deliverer({
      journal,
      broadcaster: events,
      log,
      channels: names,
      get maxPendingDeliveries() {
        return channels.maxPendingDeliveries
      },
      delivery: channels.delivery,
      isOpen: (questionId) => app.questions.isOpen(questionId),
      tracing: app.tracing,
      observe: (channel, outcome, seconds) => {
        instruments.deliveries.inc({ channel, outcome })
        if (outcome === 'delivered') instruments.deliveryDuration.observe({ channel }, seconds)
      },
    })
    app.decorate('deliverer', deliverer)
    live.onChanged(['connectors'], readNames)
    measure(deliverer, journal, instruments)

    app.addHook('onReady', async () => {
      const deliveries = await deliverer.recover()
      if (deliveries > 0) log.info({ deliveries }, 'continuing deliveries that waited before the start')
    })
    app.addHook('preClose', async () => {
      const graceMs = Math.min(channels.delivery.stopGraceMs, shutdown.closeTimeoutMs * SENDING_SHARE)
      await app.closing.step('outbox', () => deliverer.stop(graceMs), OTHERS_SHARE)
    })
  },
  {
    name: 'outbox',
    dependencies: ['closing', 'tracing', 'metrics', 'journal', 'events', 'lanes'],
    fastify: '5.x',
  },
)

function channelNames({ connectors }: Config): string[] {
  return Object.values(connectors).map(({ type, channel = type }) => channel)
}

function measure(deliverer: Deliverer, journal: Journal, instruments: Instruments): void {
  instruments.gauge(
    'gateway_deliveries_pending',
    'Deliveries that wait for their channel’s platform to take them.',
    ['channel'],
    (set) => {
      for (const { channel, deliveries } of deliverer.waiting()) set({ channel }, deliveries)
    },
  )
  instruments.gauge(
    'gateway_deliveries_unknown_channel',
    'Deliveries that wait for channels that are not configured.',
    [],
    (set) => {
      let sum = 0
      for (const { deliveries } of deliverer.unknown()) sum += deliveries
      set({}, sum)
    },
  )
  observeDeadLetters(
    instruments,
    {
      count: {
        name: 'gateway_delivery_dead',
        help: 'Deliveries that failed for good and that were neither retried nor discarded.',
      },
      age: {
        name: 'gateway_delivery_dead_oldest_age_seconds',
        help: 'Time since the death of the oldest dead delivery; 0 with none.',
      },
    },
    () => journal.deadDeliveryStats(),
  )
}
