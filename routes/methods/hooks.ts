import type { FastifyInstance } from 'fastify'
import { requireUnconfined } from '../../src/auth/rights.js'
import type { RequestContext } from '../../src/methods/registry.js'
import { hooksList, hooksReload } from '../../src/protocol/index.js'

/** `hooks.*`. */
export default async function hookMethods(app: FastifyInstance): Promise<void> {
  const { hooks, hookSources } = app
  const list = ({ principal }: RequestContext) => {
    requireUnconfined(principal)
    return { hooks: hooks.list(), problems: hookSources.describeProblems() }
  }

  app.method(hooksList, (_params, context) => list(context))

  app.method(hooksReload, async (_params, context) => {
    requireUnconfined(context.principal)
    await hookSources.reload()
    return list(context)
  })
}
