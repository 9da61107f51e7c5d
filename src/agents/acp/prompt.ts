import type { ContentBlock } from '@agentclientprotocol/sdk'
import { traceOf } from '../../tracing/trace-context.js'
import { abortable } from '../abort.js'
import type { AgentReply, RunContext } from '../agent.js'
import type { Link } from './link.js'
import { Turn } from './turn.js'

export interface Prompted {
  readonly reply: Promise<AgentReply>
  /** Resolves when the agent is done with it, which after a stop may be later, or never. */
  readonly over: Promise<void>
}

/** Has the agent work on a prompt. A run that is stopped has it cancelled (ACP, Cancellation). */
export function prompt(link: Link, sessionId: string, blocks: ContentBlock[], run: RunContext): Prompted {
  let stop = (_: unknown) => {}
  const stopped = new Promise<never>((_, reject) => {
    stop = reject
  })
  const turn = new Turn(run, (error) => stop(error))
  link.turns.set(sessionId, turn)
  // ACP, Extensibility: these names in `_meta` are kept for W3C Trace Context.
  const trace = traceOf(run)
  const meta = trace === null ? {} : { _meta: { ...trace } }
  const answer = link.agent.request('session/prompt', { sessionId, prompt: blocks, ...meta })
  let answered = false
  const over = answer.then(
    () => {
      answered = true
    },
    () => {
      answered = true
    },
  )
  const reply = async () => {
    try {
      const { stopReason } = await abortable(Promise.race([answer, stopped]), run.signal)
      return turn.reply(stopReason)
    } catch (error) {
      if (!answered) link.agent.notify('session/cancel', { sessionId }).catch(() => {})
      throw error
    } finally {
      link.turns.delete(sessionId)
    }
  }
  return { reply: reply(), over }
}
