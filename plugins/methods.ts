import { type TObject, type TSchema, TypeGuard } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { type Handler, MethodRegistry } from '../src/methods/registry.js'
import { type Contract, contract } from '../src/protocol/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    methods: MethodRegistry
    /**
     * Adds a method. In an encapsulated plugin the handler's `this` is that plugin's instance. A name that is taken or is
     * none, and schemas that are not TypeBox's, fail the start.
     */
    method<P extends TObject, R extends TSchema>(
      contract: Contract<P, R>,
      handler: (
        this: FastifyInstance,
        ...args: Parameters<Handler<Contract<P, R>>>
      ) => ReturnType<Handler<Contract<P, R>>>,
    ): void
  }
}

export interface MethodsPluginOptions {
  /** Validate results as well; for tests. */
  checkResults?: boolean
}

/** The registry of RPC methods, open while plugins load, sealed when the app is ready. */
export default fp<MethodsPluginOptions>(
  async (app, { checkResults }) => {
    const methods = new MethodRegistry({ checkResults })
    app.decorate('methods', methods)
    app.decorate('method', function (this: FastifyInstance, definition, handler) {
      checkSchemas(definition)
      methods.add(contract(definition), handler.bind(this))
    })
    app.addHook('onReady', async () => methods.seal())
  },
  { name: 'methods', fastify: '5.x' },
)

/** Plugins may be written without a compiler that would tell. */
function checkSchemas({ name, params, result }: Contract): void {
  if (!TypeGuard.IsObject(params))
    throw new TypeError(`method '${name}': params: expected a Type.Object of TypeBox`)
  if (!TypeGuard.IsSchema(result))
    throw new TypeError(`method '${name}': result: expected a schema of TypeBox`)
}
