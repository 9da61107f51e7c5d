import type { ToolCall } from '../../protocol/agent-reports.js'
import type { ConversationView } from './conversation.js'

/** A line of thought is broken there at the latest. */
const MAX_LINE_CHARS = 1_000

/** What an agent does besides its answer, in lines. */
export class WorkLog {
  /** Whether what the agent thinks is shown. */
  reasoning: boolean
  readonly #view: Pick<ConversationView, 'tool' | 'reasoning'>
  #thought = ''
  /** The titles of the calls that were shown, of one try. */
  readonly #calls = new Map<string, string>()

  constructor(view: Pick<ConversationView, 'tool' | 'reasoning'>, reasoning: boolean) {
    this.#view = view
    this.reasoning = reasoning
  }

  thinks(text: string): void {
    if (!this.reasoning) return
    const lines = (this.#thought + text).split('\n')
    this.#thought = lines.pop()!
    for (const line of lines) this.#say(line)
    if (this.#thought.length > MAX_LINE_CHARS) this.flush()
  }

  /** One line a call, and one more where it fails. */
  calls({ callId, title, status }: ToolCall): void {
    this.flush()
    const known = this.#calls.get(callId)
    const name = known ?? title ?? callId
    this.#calls.set(callId, name)
    if (known === undefined) this.#view.tool(name, false)
    if (status === 'failed') this.#view.tool(name, true)
  }

  /** Shows what there is of a line. */
  flush(): void {
    const line = this.#thought
    this.#thought = ''
    this.#say(line)
  }

  /** A try begins, or has ended. */
  turn(): void {
    this.flush()
    this.#calls.clear()
  }

  #say(line: string): void {
    if (line.trim() !== '') this.#view.reasoning(line)
  }
}
