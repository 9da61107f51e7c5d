import fp from 'fastify-plugin'
import { isWebSocketUpgrade } from '../src/auth/credentials.js'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { LoopDelay } from '../src/health/loop-delay.js'
import { type MemoryBound, MemoryWatermark } from '../src/health/memory-watermark.js'
import { collectGarbage, memoryBounds, readMemory } from '../src/health/process-memory.js'
import type { Instruments } from '../src/metrics/instruments.js'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

declare module 'fastify' {
  interface FastifyInstance {
    overload: {
      readonly memory: MemoryWatermark
      readonly loopDelay: LoopDelay
      /** Called after each look at the memory; must not throw. */
      onSample(listener: () => void): void
    }
  }
}

/** When a client that was refused for want of memory may come back; milliseconds. */
const RETRY_AFTER_MS = 5_000

/** Watches the process itself: its memory, past whose watermark nothing new is taken, and the delay of its event loop. */
export default fp<{ config: Pick<Config, 'overload'>; live: LiveConfig }>(
  async (app, { config, live }) => {
    const { instruments } = app.metrics
    const memoryLimits = () => ({
      bounds: memoryBounds(config.overload),
      collectAfterMs: config.overload.collectAfterMs,
    })
    const memory = new MemoryWatermark({
      ...memoryLimits(),
      read: readMemory,
      collect: collectGarbage,
      onChange: (bound, reading) => {
        const fields = { bound, bytes: reading, bounds: memory.bounds }
        if (bound === null) app.log.info(fields, 'memory is below its bounds again')
        else app.log.warn(fields, 'memory is past a bound: new events and connections are refused')
      },
    })
    const loopLimits = () => ({
      maxDelayMs: config.overload.maxLoopDelayMs,
      windowMs: config.overload.loopDelayWindowMs,
    })
    const loopDelay = new LoopDelay({
      ...loopLimits(),
      onExceeded: (delayMs) => {
        const { maxLoopDelayMs } = config.overload
        app.log.warn({ delayMs, maxLoopDelayMs }, 'the event loop was blocked')
      },
    })
    const listeners: (() => void)[] = []
    const sample = () => {
      memory.sample(performance.now())
      for (const listener of listeners) listener()
    }
    let timer = setInterval(sample, config.overload.sampleIntervalMs).unref()
    live.onChanged(['overload'], () => {
      memory.limit(memoryLimits())
      loopDelay.limit(loopLimits())
      clearInterval(timer)
      timer = setInterval(sample, config.overload.sampleIntervalMs).unref()
    })
    app.decorate('overload', { memory, loopDelay, onSample: (listener) => void listeners.push(listener) })
    measure(instruments, memory, loopDelay)

    app.addHook('onRequest', (request, reply, done) => {
      if (memory.over === null || !isWebSocketUpgrade(request.headers)) return done()
      instruments.httpRefused.inc({ kind: 'memory' })
      const message = 'The gateway’s memory is nearly used up; try again later.'
      const details = { reason: 'memory' }
      const error = new GatewayError('UNAVAILABLE', message, { details, retryAfterMs: RETRY_AFTER_MS })
      const headers = { connection: 'close', 'retry-after': RETRY_AFTER_MS / 1000 }
      reply
        .code(error.statusCode)
        .headers(headers)
        .send({ error: toErrorShape(error) })
    })
    app.addHook('onReady', async () => loopDelay.start())
    app.addHook('onClose', async () => {
      clearInterval(timer)
      loopDelay.close()
    })
  },
  { name: 'overload', dependencies: ['metrics'], fastify: '5.x' },
)

const BOUNDS: readonly MemoryBound[] = ['rss', 'heap']

function measure(instruments: Instruments, memory: MemoryWatermark, loopDelay: LoopDelay): void {
  instruments.gauge(
    'gateway_memory_over_bound',
    '1: memory is past this bound, and new events and connections are refused.',
    ['bound'],
    (set) => {
      for (const bound of BOUNDS) set({ bound }, memory.over === bound ? 1 : 0)
    },
  )
  instruments.gauge('gateway_memory_bound_bytes', 'Memory that may be taken.', ['bound'], (set) => {
    for (const bound of BOUNDS) set({ bound }, memory.bounds[bound])
  })
  instruments.gauge(
    'gateway_event_loop_delay_seconds',
    'Delay of the event loop: percentiles of the last window, and the longest since the last scrape.',
    // Not `quantile`: that label is for summaries.
    ['statistic'],
    (set) => {
      for (const [statistic, seconds] of Object.entries(loopDelay.tell())) set({ statistic }, seconds)
    },
  )
}
