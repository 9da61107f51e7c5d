import type { FastifyInstance } from 'fastify'
import { cronAdd, cronList, cronRemove, cronRun, cronRuns, cronUpdate } from '../../src/protocol/index.js'

/** `cron.*`. */
export default async function cronMethods(app: FastifyInstance): Promise<void> {
  const { scheduler } = app

  app.method(cronList, (params, { principal, sessionKey }) => scheduler.list(principal, sessionKey, params))

  app.method(cronAdd, async (params, context) => {
    const job = await scheduler.add(context.principal, context.sessionKey, params)
    context.target = { ...context.target, jobId: job.jobId }
    return { job }
  })

  app.method(cronUpdate, async (params, { principal }) => ({
    job: await scheduler.update(principal, params),
  }))

  app.method(cronRemove, async ({ jobId }, { principal }) => {
    await scheduler.remove(principal, jobId)
    return { removed: true as const }
  })

  app.method(cronRun, async ({ jobId }, { principal }) => ({ run: await scheduler.run(principal, jobId) }))

  app.method(cronRuns, (params, { principal }) => scheduler.runs(principal, params))
}
