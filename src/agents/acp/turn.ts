import type { AgentReply, RunContext } from '../agent.js'
import { toolCall, type Update } from './updates.js'

/** Calls of one run that are told apart. */
const MAX_CALLS = 10_000

/** What an agent says in the run that it works on. */
export class Turn {
  readonly run: RunContext
  readonly #onTooMuch: (error: unknown) => void
  readonly #calls = new Set<string>()
  #said = ''
  #usage: AgentReply['usage']
  #interrupted = false

  /** @param onTooMuch the answer is longer than it may be */
  constructor(run: RunContext, onTooMuch: (error: unknown) => void) {
    this.run = run
    this.#onTooMuch = onTooMuch
  }

  take({ update }: Update): void {
    if (this.run.signal.aborted) return
    switch (update.sessionUpdate) {
      case 'agent_message_chunk':
        this.#say(update.content.text)
        break
      case 'agent_thought_chunk':
        this.run.report({ type: 'reasoning', text: update.content.text })
        break
      case 'tool_call':
      case 'tool_call_update': {
        const first = !this.#calls.has(update.toolCallId)
        if (this.#calls.size < MAX_CALLS) this.#calls.add(update.toolCallId)
        this.#interrupted = true
        this.run.report({ type: 'tool', ...toolCall(update, first) })
        break
      }
      case 'usage_update':
        this.#usage = { used: update.used, size: update.size, cost: update.cost }
    }
  }

  reply(stopReason: string): AgentReply {
    return { content: this.#said, usage: this.#usage, metadata: { stopReason } }
  }

  /** What an agent says before and after it used a tool are paragraphs of one answer. */
  #say(text: string): void {
    const apart = this.#interrupted && this.#said !== '' && !this.#said.endsWith('\n') && text !== ''
    if (text !== '') this.#interrupted = false
    const piece = apart ? `\n\n${text}` : text
    this.#said += piece
    try {
      this.run.delta(piece)
    } catch (error) {
      this.#onTooMuch(error)
    }
  }
}
