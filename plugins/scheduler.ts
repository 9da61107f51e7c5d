import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { GatewayError } from '../src/protocol/index.js'
import { Scheduler } from '../src/scheduler/scheduler.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    scheduler: Scheduler
  }
}

/** Scheduled jobs: read at the start, run from when the port is open until the gateway stops. */
export default fp<{ config: Config }>(
  async (app, { config }) => {
    const { journal, intake, outcomes, lanes, lifecycle, agents, deliverer, log } = app
    const { instruments } = app.metrics
    const scheduler = new Scheduler({
      limits: config.cron,
      journal,
      log,
      accept: (incoming, principal) => intake.accept(incoming, principal),
      outcome: (runId, signal) => outcomes.wait(runId, signal, () => true),
      abort: (runId, reason, signal) => lanes.abortRun(runId, reason, () => true, signal),
      isStopping: () => lifecycle.stopping,
      requireAgent: (agent) => {
        if (agents.get(agent) === undefined)
          throw new GatewayError('NOT_FOUND', `There is no agent '${agent}'.`, { details: { agent } })
      },
      requireChannel: (channel) => {
        if (!deliverer.isChannel(channel))
          throw new GatewayError('NOT_LINKED', `There is no channel '${channel}'.`, { details: { channel } })
      },
      observe: (outcome) => instruments.cronRuns.inc({ outcome }),
    })
    app.decorate('scheduler', scheduler)
    instruments.gauge('gateway_cron_jobs', 'Scheduled jobs.', [], (set) => set({}, scheduler.size))
    instruments.gauge('gateway_cron_runs_active', 'Runs of scheduled jobs that have not ended.', [], (set) =>
      set({}, scheduler.active),
    )

    app.addHook('onReady', () => scheduler.load())
    app.addHook('onListen', async () => {
      if (!lifecycle.stopping) scheduler.start()
    })
    // After the lanes: how the last runs ended is still written.
    const stop = () => app.closing.step('scheduler', () => scheduler.stop(), OTHERS_SHARE)
    app.addHook('preClose', stop)
    // A gateway that never listened has no `preClose`.
    app.addHook('onClose', stop)
  },
  {
    name: 'scheduler',
    dependencies: ['closing', 'metrics', 'journal', 'lifecycle', 'agents', 'lanes', 'outbox'],
    fastify: '5.x',
  },
)
