import type { FastifyInstance } from 'fastify'
import { agentAbort, agentsList, agentWait, GatewayError } from '../../src/protocol/index.js'

const DEFAULT_WAIT_MS = 600_000

/** `agent.*` and `agents.*`. */
export default async function agentMethods(
  app: FastifyInstance,
  { defaultAgent }: { defaultAgent: string },
): Promise<void> {
  const { agents, lanes, outcomes } = app

  app.method(agentWait, async ({ runId, timeoutMs = DEFAULT_WAIT_MS }, { principal, signal }) => {
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      return await outcomes.wait(runId, AbortSignal.any([signal, timeout]), (key) =>
        principal.allowsSession(key),
      )
    } catch (error) {
      if (error !== timeout.reason) throw error
      throw new GatewayError('AGENT_TIMEOUT', `The run has no outcome after ${timeoutMs} ms.`, {
        details: { runId },
      })
    }
  })

  app.method(agentAbort, async ({ runId, reason = 'requested' }, { principal, sessionKey, signal }) => {
    if (runId !== undefined) {
      const mayWrite = (key: string) =>
        principal.allowsSession(key) && (sessionKey === null || key === sessionKey)
      return { aborted: (await lanes.abortRun(runId, reason, mayWrite, signal)) ? [runId] : [] }
    }
    if (sessionKey !== null) return { aborted: await lanes.abortSession(sessionKey, reason, signal) }
    throw new GatewayError(
      'INVALID_REQUEST',
      'params.runId: expected a run id, or a sessionKey on the request',
      {
        details: { path: 'params.runId' },
      },
    )
  })

  app.method(agentsList, () => ({
    agents: agents
      .names()
      .map((name) => ({ name, type: agents.get(name)!.type, default: name === defaultAgent })),
  }))
}
