import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { type Hook, type HookName, type HookOptions, Hooks } from '../src/hooks/hooks.js'
import type { Instruments } from '../src/metrics/instruments.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    hooks: Hooks
    /** Runs `hook` at an internal event such as `message:received`, or at those that match a pattern such as `agent:*`. */
    on<P extends HookName | (string & {})>(
      pattern: P,
      hook: Hook<P>,
      options?: Pick<HookOptions, 'name' | 'priority'>,
    ): void
  }
}

export interface HooksPluginOptions {
  config: Config
}

/** What hooks that are under way may still take at the end of a stop. */
const CLOSE_GRACE_MS = 500

/** Internal events for plugins, hook modules and rules. */
export default fp<HooksPluginOptions>(
  async (app, { config }) => {
    const hooks = new Hooks(app.log, config.hooks)
    app.decorate('hooks', hooks)
    app.decorate('on', function (this: FastifyInstance, pattern, hook, options) {
      // A plugin of the configuration has a chain of names that begins with its own.
      const [source] = this.pluginName.split(' -> ')
      hooks.on(pattern, hook, { ...options, source: source?.slice(0, 64) })
    })
    app.addHook('onClose', async () =>
      app.closing.step('hooks', () => hooks.close(CLOSE_GRACE_MS), OTHERS_SHARE),
    )
    measure(app.metrics.instruments, hooks)
  },
  { name: 'hooks', dependencies: ['closing', 'metrics'], fastify: '5.x' },
)

function measure(instruments: Instruments, hooks: Hooks): void {
  instruments.counted('gateway_hook_failures_total', 'Hooks that threw.', [], (set) => {
    for (const { failed } of hooks.totals().values()) set({}, failed)
  })
  instruments.counted(
    'gateway_hook_timeouts_total',
    'Events refused because their hooks did not end in time.',
    [],
    (set) => set({}, hooks.timeouts),
  )
  const byKind = (name: string, help: string, of: 'called' | 'late' | 'dropped') =>
    instruments.counted(name, help, ['kind'], (set) => {
      for (const [kind, totals] of hooks.totals()) set({ kind }, totals[of])
    })
  byKind('gateway_hook_calls_total', 'Calls of hooks.', 'called')
  byKind('gateway_hook_late_total', 'Calls of hooks that did not end in time.', 'late')
  byKind('gateway_hook_dropped_total', 'Events that slow hooks were not told of.', 'dropped')
}
