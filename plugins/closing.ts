import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { Closing } from '../src/lifecycle/closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Bounds what is done after the drain, and names what hangs. */
    closing: Closing
  }
}

/** The share of the time that code of others may use up together: the rest is for connections and the journal. */
export const OTHERS_SHARE = 0.5

/** How a stop ends in time, whatever others' code does in it. */
export default fp<{ config: Config }>(
  async (app, { config }) => {
    app.decorate('closing', new Closing({ timeoutMs: config.shutdown.closeTimeoutMs, log: app.log }))
  },
  { name: 'closing', fastify: '5.x' },
)

type AnyHook = (this: FastifyInstance, ...args: unknown[]) => unknown
type AddHook = (this: FastifyInstance, name: string, hook: unknown) => FastifyInstance

/**
 * Makes the closing hooks that are added from here on steps of `app.closing`: Fastify itself would wait for one that hangs,
 * and leave the further `preClose` hooks out after one that throws. Returns the function that ends this.
 */
export function boundHooks(app: FastifyInstance, owner: string): () => void {
  const addHook = app.addHook as AddHook
  const bounded: AddHook = function (name, hook) {
    if (typeof hook !== 'function' || (name !== 'onClose' && name !== 'preClose')) {
      return addHook.call(this, name, hook)
    }
    const run = () => call(this, name, hook as AnyHook)
    const step = `${name} of the plugin '${owner}'`
    return addHook.call(this, name, async () => app.closing.step(step, run, OTHERS_SHARE))
  }
  app.addHook = bounded as typeof app.addHook
  return () => {
    app.addHook = addHook as typeof app.addHook
  }
}

/** `onClose` is given the instance, and either of them its callback where it declares one. */
function call(instance: FastifyInstance, name: 'onClose' | 'preClose', hook: AnyHook): unknown {
  const args = name === 'onClose' ? [instance] : []
  if (hook.length <= args.length) return hook.apply(instance, args)
  return new Promise<void>((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve())
    hook.apply(instance, [...args, done])
  })
}
