import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { type Hook, type HookName, Hooks } from '../src/hooks/hooks.js'

declare module 'fastify' {
  interface FastifyInstance {
    hooks: Hooks
    /** Runs `hook` at an internal event such as `message:received`, or at those that match a pattern such as `agent:*`. */
    on<P extends HookName | (string & {})>(pattern: P, hook: Hook<P>): void
  }
}

export interface HooksPluginOptions {
  config: Config
  live: LiveConfig
}

/** Internal events for plugins. */
export default fp<HooksPluginOptions>(
  async (app, { config, live }) => {
    const hooks = new Hooks(app.log, config.hooks.timeoutMs)
    live.onChanged(['hooks.timeoutMs'], () => {
      hooks.timeoutMs = config.hooks.timeoutMs
    })
    app.decorate('hooks', hooks)
    app.decorate('on', (pattern, hook) => hooks.on(pattern, hook))
    const { instruments } = app.metrics
    instruments.counted('gateway_hook_failures_total', 'Hooks that threw.', [], (set) =>
      set({}, hooks.failures),
    )
    instruments.counted(
      'gateway_hook_timeouts_total',
      'Events refused because their hooks did not end in time.',
      [],
      (set) => set({}, hooks.timeouts),
    )
  },
  { name: 'hooks', dependencies: ['metrics'], fastify: '5.x' },
)
