import type { FastifyInstance } from 'fastify'
import { Deadline } from '../../src/agents/deadline.js'
import { agentAbort, agentsList, agentWait, GatewayError } from '../../src/protocol/index.js'

const DEFAULT_WAIT_MS = 600_000

/** `agent.*` and `agents.*`. */
export default async function agentMethods(
  app: FastifyInstance,
  { defaultAgent }: { defaultAgent: string },
): Promise<void> {
  const { agents, lanes, outcomes } = app

  app.method(agentWait, async ({ runId, timeoutMs = DEFAULT_WAIT_MS }, { principal, signal }) => {
    const deadline = new Deadline(signal)
    const message = `The run has no outcome after ${timeoutMs} ms.`
    deadline.limit(timeoutMs, new GatewayError('AGENT_TIMEOUT', message, { details: { runId } }))
    try {
      return await outcomes.wait(runId, deadline.signal, (key) => principal.allowsSession(key))
    } finally {
      deadline.close()
    }
  })

  app.method(agentAbort, async ({ runId, reason = 'requested' }, { principal, sessionKey, signal }) => {
    if (runId !== undefined) {
      const mayWrite = (key: string) =>
        principal.allowsSession(key) && (sessionKey === null || key === sessionKey)
      return { aborted: await lanes.abortRun(runId, reason, mayWrite, signal) }
    }
    if (sessionKey !== null) return { aborted: await lanes.abortSession(sessionKey, reason, signal) }
    const path = 'params.runId'
    const expected = 'a run id, or a sessionKey on the request'
    throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, {
      details: { path, expected },
    })
  })

  app.method(agentsList, () => {
    const pools = new Map(app.workerPools())
    return {
      agents: agents.names().map((name) => {
        const { type, gate } = agents.get(name)!
        return {
          name,
          type,
          default: name === defaultAgent,
          concurrency: gate?.concurrency,
          waiting: gate?.waiting,
          breaker: gate?.breaker?.state,
          workers: pools.get(name)?.status,
        }
      }),
    }
  })
}
