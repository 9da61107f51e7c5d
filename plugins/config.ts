import type { FastifyBaseLogger } from 'fastify'
import fp from 'fastify-plugin'
import { ConfigControl, type ConfigControlOptions } from '../src/config/control.js'
import { ConfigError, formatProblem } from '../src/config/problems.js'
import { EVENTS, toErrorShape } from '../src/protocol/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Reads and changes the configuration. What is in effect is what the plugins were given. */
    configControl: ConfigControl
  }
}

export interface ConfigPluginOptions extends Pick<ConfigControlOptions, 'live' | 'load' | 'check' | 'home'> {
  readonly configFile: string | null
  readonly fileHash: string
  /** The logger that the app was given; the app's own is a child of it. */
  readonly logger: FastifyBaseLogger | undefined
}

/** Lets the configuration change while the gateway runs; the last to be ready and the first to stop. */
export default fp<ConfigPluginOptions>(
  async (app, { logger, ...options }) => {
    const { live } = options
    const control = new ConfigControl({
      ...options,
      log: app.log,
      isStopping: () => app.lifecycle.stopping,
      onChanged: (payload) =>
        app.events.broadcast({
          event: EVENTS.configChanged.name,
          sessionKey: null,
          at: Date.now(),
          payload: JSON.stringify(payload),
          seq: 0,
        }),
      onReloaded: ({ source }, paths, error) => {
        // Whoever asks by a method is recorded with that; a comment in the file is no change.
        const isNone = source === 'file' && error === null && paths.length === 0
        if (source !== 'rpc' && !isNone) app.audit.configReloaded(source, paths, outcomeOf(error))
      },
    })
    app.decorate('configControl', control)
    live.onChanged(['log.level'], () => {
      for (const log of [logger, app.log]) if (log !== undefined) log.level = live.config.log.level
    })

    app.health.add('config', () => {
      const { problem } = control
      if (problem === null) return { status: 'ok' }
      const problems = problem.problems.map(formatProblem).join('; ')
      return { status: 'degraded', message: `the configuration file is not in use: ${problems}` }
    })
    const { instruments } = app.metrics
    instruments.counted(
      'gateway_config_changes_total',
      'Changes of the configuration while running.',
      ['outcome'],
      (set) => {
        for (const [outcome, count] of Object.entries(control.stats)) set({ outcome }, count)
      },
    )
    instruments.gauge('gateway_config_pending', 'Settings that wait for a restart.', [], (set) =>
      set({}, live.pending.length),
    )

    app.addHook('onListen', async () => control.start())
    const close = () => app.closing.step('configuration', () => control.close())
    app.addHook('preClose', close)
    // A gateway that never listened has no `preClose`.
    app.addHook('onClose', close)
  },
  {
    name: 'config',
    dependencies: ['closing', 'metrics', 'events', 'identities', 'lifecycle', 'health'],
    fastify: '5.x',
  },
)

/** As a method would answer it. */
function outcomeOf(error: unknown): string {
  if (error === null) return 'OK'
  return error instanceof ConfigError ? 'INVALID_REQUEST' : toErrorShape(error).code
}
