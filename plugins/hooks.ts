import fp from 'fastify-plugin'
import { type Hook, type HookName, Hooks } from '../src/hooks/hooks.js'

declare module 'fastify' {
  interface FastifyInstance {
    hooks: Hooks
    /** Runs `hook` at an internal event such as `message:received`, or at those that match a pattern such as `agent:*`. */
    on<P extends HookName | (string & {})>(pattern: P, hook: Hook<P>): void
  }
}

/** Internal events for plugins. */
export default fp(
  async (app) => {
    const hooks = new Hooks(app.log)
    app.decorate('hooks', hooks)
    app.decorate('on', (pattern, hook) => hooks.on(pattern, hook))
    app.metrics.instruments.counted('gateway_hook_failures_total', 'Hooks that threw.', [], (set) =>
      set({}, hooks.failures),
    )
  },
  { name: 'hooks', dependencies: ['metrics'], fastify: '5.x' },
)
