import type { ErrorShape } from '../../protocol/errors.js'
import type { Message } from '../../protocol/events.js'
import { oneLine, printable } from '../format.js'
import type { ConversationView } from './conversation.js'

/** For pipes and files: the answers and nothing else on `output`, the rest on `log`. */
export class PlainView implements ConversationView {
  readonly #output: NodeJS.WritableStream
  readonly #log: NodeJS.WritableStream
  #failures = 0

  constructor(output: NodeJS.WritableStream, log: NodeJS.WritableStream) {
    this.#output = output
    this.#log = log
  }

  /** Runs without an answer. */
  get failures(): number {
    return this.#failures
  }

  message(): void {}
  started(): void {}
  delta(): void {}
  interrupted(): void {}

  reasoning(line: string): void {
    this.#log.write(`~ ${printable(line)}\n`)
  }

  tool(title: string, failed: boolean): void {
    this.#log.write(`· ${printable(oneLine(title))}${failed ? ': failed' : ''}\n`)
  }

  question(text: string): void {
    this.#log.write(`? ${printable(text)}\n`)
  }

  questionOver(how: string | null): void {
    if (how !== null) this.#log.write(`${how}\n`)
  }

  answered(message: Message | null, _runId: string): void {
    if (message !== null) this.#output.write(`${message.content}\n`)
  }

  /** Null: no run, but something that was typed. */
  failed(error: ErrorShape, _runId: string | null): void {
    this.#failures++
    this.#log.write(`${error.code}: ${error.message}\n`)
  }

  aborted(reason: string, _waiting: boolean, _runId: string): void {
    this.#failures++
    this.#log.write(`CANCELLED: ${reason || 'the run was aborted'}\n`)
  }

  notice(text: string): void {
    this.#log.write(`${text}\n`)
  }
}
