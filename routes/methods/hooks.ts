import type { FastifyInstance } from 'fastify'
import { hooksList, hooksReload } from '../../src/protocol/index.js'

/** `hooks.*`. */
export default async function hookMethods(app: FastifyInstance): Promise<void> {
  const { hooks, hookSources } = app
  const list = () => ({ hooks: hooks.list(), problems: hookSources.describeProblems() })

  app.method(hooksList, list)

  app.method(hooksReload, async () => {
    await hookSources.reload()
    return list()
  })
}
