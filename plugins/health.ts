import fp from 'fastify-plugin'
import { deliveryHealth } from '../src/connectors/delivery-health.js'
import { type CheckResult, Health } from '../src/health/health.js'
import type { Instruments } from '../src/metrics/instruments.js'
import type { TlsStatus } from './tls.js'

declare module 'fastify' {
  interface FastifyInstance {
    health: Health
  }
}

/** Collects the checks of the other plugins. */
export default fp<{ version: string }>(
  async (app, { version }) => {
    const { lifecycle, journal, lanes, deliverer, metrics, overload } = app
    const health = new Health(version)
    health.add('lifecycle', () =>
      lifecycle.leaving ? { status: 'failing', message: 'stopping' } : { status: 'ok' },
    )
    health.add('journal', () => journal.health())
    health.add('lanes', () => {
      const { pending, limits } = lanes.dispatcher
      return pending < limits.maxPending
        ? { status: 'ok' }
        : { status: 'degraded', message: 'full: new events are refused' }
    })
    health.add('outbox', () => deliveryHealth(deliverer))
    health.add('memory', () => overload.memory.health())
    health.add('eventLoop', () => overload.loopDelay.health())
    if (app.tls !== null) health.add('certificate', () => certificateHealth(app.tls!))
    app.decorate('health', health)
    measure(metrics.instruments, { health, version, tls: app.tls, startedAt: Date.now() })
  },
  {
    name: 'health',
    dependencies: ['lifecycle', 'journal', 'lanes', 'outbox', 'metrics', 'overload', 'tls'],
    fastify: '5.x',
  },
)

function certificateHealth({ lastError }: TlsStatus): CheckResult {
  if (lastError === null) return { status: 'ok' }
  return {
    status: 'degraded',
    message: 'the files hold no usable certificate and key: the one before is in use',
  }
}

interface Measured {
  readonly health: Health
  readonly version: string
  readonly tls: TlsStatus | null
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number
}

const VALUES = { ok: 1, degraded: 0.5, failing: 0 }

function measure(instruments: Instruments, { health, version, tls, startedAt }: Measured): void {
  instruments.gauge('gateway_info', 'Always 1; the version is a label.', ['version'], (set) =>
    set({ version }, 1),
  )
  instruments.gauge(
    'gateway_start_time_seconds',
    'When the gateway began; after a restart in place later than its process.',
    [],
    (set) => set({}, startedAt / 1_000),
  )
  instruments.gauge('gateway_ready', '1: /health/ready answers 200; 0: it answers 503.', [], (set) =>
    set({}, health.report().status === 'failing' ? 0 : 1),
  )
  instruments.gauge('gateway_health', '1: ok, 0.5: degraded, 0: failing.', ['check'], (set) => {
    for (const [check, { status }] of Object.entries(health.report().checks)) set({ check }, VALUES[status])
  })
  if (tls === null) return
  instruments.gauge(
    'gateway_tls_certificate_expiry_timestamp_seconds',
    'When the certificate in use ends; only with TLS.',
    [],
    (set) => set({}, tls.expiresAt / 1_000),
  )
}
