import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { FastHistogram } from './histogram.js'

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const LONG_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

/** A number that the gateway keeps anyway, read when Prometheus asks: the hot path only counts. */
type Read<L extends string> = (set: (labels: Record<L, string>, value: number) => void) => void

/**
 * A series that first appears with 1 has not grown, as Prometheus sees it: those whose first step matters begin with 0.
 */
function fromZero<L extends string>(counter: Counter<L>, series: Record<L, readonly string[]>): Counter<L> {
  for (const [label, values] of Object.entries<readonly string[]>(series)) {
    for (const value of values) counter.inc({ [label]: value } as Record<L, string>, 0)
  }
  return counter
}

/**
 * Every metric of the gateway (spec §7; the first two have the reference's names). Label values come from bounded sets:
 * never a session key, never a name that a client chose.
 */
export function createInstruments(registry: Registry) {
  const registers = [registry]
  const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name, help, labelNames: [...labelNames], registers })
  const histogram = <L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly L[] = [],
  ) => new Histogram({ name, help, buckets, labelNames: [...labelNames], registers })

  return {
    events: counter('gateway_events_total', 'Total number of events processed', ['type', 'source']),
    refusals: fromZero(
      counter('gateway_events_refused_total', 'Events refused before they were stored.', ['reason']),
      { reason: ['forbidden', 'hook', 'journal'] },
    ),
    rpcDuration: new FastHistogram(
      registry,
      'gateway_rpc_duration_seconds',
      'Time from a request to its response.',
      'method',
      SECONDS,
    ),
    rpcErrors: counter('gateway_rpc_errors_total', 'Requests answered with an error.', ['method', 'code']),
    journalCommitDuration: histogram(
      'gateway_journal_commit_duration_seconds',
      'Time that the first write of a commit waited until it was on disk.',
      SECONDS,
    ),
    laneWait: histogram('gateway_lane_wait_seconds', 'Time from acceptance to the first try.', LONG_SECONDS),
    runDuration: histogram('gateway_run_duration_seconds', 'Duration of one try of a run.', LONG_SECONDS, [
      'agent_type',
      'outcome',
    ]),
    deliveries: counter(
      'gateway_deliveries_total',
      'Tries to say something on a channel, by how they ended.',
      ['channel', 'outcome'],
    ),
    deliveryDuration: histogram(
      'gateway_delivery_duration_seconds',
      'Time from the acceptance of a delivery until its platform took it.',
      LONG_SECONDS,
      ['channel'],
    ),
    cronRuns: fromZero(
      counter(
        'gateway_cron_runs_total',
        'Runs of scheduled jobs that are over, and times that were left out.',
        ['outcome'],
      ),
      { outcome: ['completed', 'failed', 'aborted', 'skipped'] },
    ),
    handshakesRefused: counter(
      'gateway_handshakes_refused_total',
      'Connections refused at their hello or before.',
      ['reason'],
    ),
    channelMessages: counter(
      'gateway_channel_messages_total',
      'Messages that came in on channels, by what became of them.',
      ['channel', 'outcome'],
    ),
    channelRequests: counter(
      'gateway_channel_requests_total',
      'Requests to /channels/<name>, by the HTTP status that they were answered with.',
      ['connector', 'status'],
    ),
    httpRefused: counter(
      'gateway_http_refused_total',
      'HTTP requests and upgrades refused by rate limits, origin, credentials or want of memory.',
      ['kind'],
    ),

    /** A gauge whose values are read at scrape time. */
    gauge<L extends string = never>(
      name: string,
      help: string,
      labelNames: readonly L[],
      read: Read<L>,
    ): void {
      new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        collect() {
          this.reset()
          read((labels, value) => this.set(labels, value))
        },
      })
    },

    /** A gauge whose value has to be waited for. While `ask` rejects it is left out, and the scrape goes on. */
    askedGauge(name: string, help: string, ask: () => Promise<number>): void {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          try {
            this.set(await ask())
          } catch {
            this.remove()
          }
        },
      })
    },

    /** A counter whose values are kept elsewhere and read at scrape time. */
    counted<L extends string = never>(
      name: string,
      help: string,
      labelNames: readonly L[],
      read: Read<L>,
    ): void {
      new Counter({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        collect() {
          this.reset()
          read((labels, value) => this.inc(labels, value))
        },
      })
    },
  }
}

export type Instruments = ReturnType<typeof createInstruments>

const EVENT_TYPES = new Set(['message.received', 'user.command', 'system.heartbeat', 'system.event'])
const SOURCES = new Set([
  'ws',
  'http',
  'cron',
  'hook',
  'webhook',
  'telegram',
  'slack',
  'discord',
  'irc',
  'mqtt',
  'xmpp',
])

/** Clients choose event types and sources: what is neither well known nor a configured channel is `other`. */
export function boundedEventLabels(
  type: string,
  source: string,
  isChannel: (source: string) => boolean,
): { type: string; source: string } {
  return {
    type: EVENT_TYPES.has(type) ? type : 'other',
    source: SOURCES.has(source) || isChannel(source) ? source : 'other',
  }
}
