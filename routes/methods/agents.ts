import type { FastifyInstance } from 'fastify'
import { Deadline } from '../../src/agents/deadline.js'
import type { Principal } from '../../src/auth/principal.js'
import type { Config } from '../../src/config/schema.js'
import {
  agentAbort,
  agentAnswer,
  agentQuestions,
  agentsList,
  agentWait,
  GatewayError,
} from '../../src/protocol/index.js'

const DEFAULT_WAIT_MS = 600_000

/** `agent.*` and `agents.*`. */
export default async function agentMethods(
  app: FastifyInstance,
  { config }: { config: Pick<Config, 'defaultAgent'> },
): Promise<void> {
  const { agents, lanes, outcomes, questions, hooks } = app

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
    let aborted: string[]
    if (runId !== undefined) {
      aborted = await lanes.abortRun(runId, reason, within(principal, sessionKey), signal)
    } else if (sessionKey !== null) {
      aborted = await lanes.abortSession(sessionKey, reason, signal)
    } else {
      throw invalid('params.runId', 'a run id, or a sessionKey on the request')
    }
    hooks.emit({ name: 'command:stop', sessionKey, source: 'ws' })
    return { aborted }
  })

  app.method(agentQuestions, (_, { principal, sessionKey }) => ({
    questions: questions.list(within(principal, sessionKey)),
  }))

  app.method(agentAnswer, ({ requestId, optionId, cancel }, { principal, sessionKey }) => {
    if ((optionId === undefined) === (cancel === undefined)) {
      throw invalid('params.optionId', 'either an option of the question, or `cancel`')
    }
    return { runId: questions.answer(requestId, optionId ?? null, within(principal, sessionKey)) }
  })

  app.method(agentsList, () => {
    const pools = new Map(app.workerPools())
    return {
      agents: agents.names().map((name) => {
        const { type, gate } = agents.get(name)!
        return {
          name,
          type,
          default: name === config.defaultAgent,
          concurrency: gate?.concurrency,
          waiting: gate?.waiting,
          breaker: gate?.breaker?.state,
          workers: pools.get(name)?.status,
        }
      }),
    }
  })
}

/** Which sessions a request is about: those that its sender may see, or of these the one that it names. */
function within(principal: Principal, sessionKey: string | null): (key: string) => boolean {
  return (key) => principal.allowsSession(key) && (sessionKey === null || key === sessionKey)
}

function invalid(path: string, expected: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
