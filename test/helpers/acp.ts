import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { createAcpAgent } from '../../src/agents/acp.js'
import type { Agent, HistoryMessage } from '../../src/agents/agent.js'
import { GatewayError, type JsonObject } from '../../src/protocol/index.js'
import { createTestRun } from '../../src/testing/agent-suite.js'

/** The agent that the tests talk to, as a program. */
export const ACP_PROGRAM = fileURLToPath(new URL('./acp-agent.js', import.meta.url))

export const ACP_SECRET = 'a-secret-of-ours'

/** An agent whose process is `like` that (acp-agent.ts); ended with the test. */
export async function startAcp(t: Test, like = '', options: JsonObject = {}) {
  const { context, logged } = createTestRun()
  const cwd = t.testdir()
  const env = { ACP_LIKE: like, ACP_SECRET }
  const given = { command: process.execPath, args: [ACP_PROGRAM], cwd, env, ...options }
  const environment = { ...process.env, LURKBOT_GATEWAY__AUTH_TOKENS: 'ours' }
  const agent = await createAcpAgent(given, {
    name: 'mine',
    log: context.log,
    baseDir: cwd,
    env: environment,
  })
  t.teardown(() => agent.close?.())
  return { agent, logged, cwd, errors: () => logged.filter(([level]) => level === 'error') }
}

type Given = Parameters<typeof createTestRun>[0]

export async function say(agent: Agent, content: string, given: Given = {}) {
  const run = createTestRun({ content, ...given })
  return { ...run, reply: await agent.run(run.event, run.context) }
}

/** The error that a run ends with. */
export async function failed(agent: Agent, content = 'ask', given: Given = {}): Promise<GatewayError> {
  const error: unknown = await say(agent, content, given).then(
    () => new Error('it answered'),
    (error) => error,
  )
  if (error instanceof GatewayError) return error
  throw error
}

export const message = (role: string, content: string) => ({ role, content }) as HistoryMessage

/** In a session in which something was said before. */
export const inSession = (sessionKey = 'test:1:main'): Given => ({
  event: { sessionKey },
  history: [message('user', 'before')],
})

/** Which process of the agent, and which of its sessions, serves a session. */
export async function who(agent: Agent, sessionKey?: string) {
  const { reply } = await say(agent, 'who', inSession(sessionKey))
  return JSON.parse(reply.content) as { pid: number; sessionId: string; settings: object; cwd: string }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
