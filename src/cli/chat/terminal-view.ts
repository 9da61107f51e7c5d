import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline'
import { Writable } from 'node:stream'
import type { ErrorShape } from '../../protocol/errors.js'
import type { Message } from '../../protocol/events.js'
import { printable } from '../format.js'
import type { ConversationView } from './conversation.js'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream & { readonly columns?: number }
}

/**
 * For people: a prompt, with answers streamed above it. While an answer streams, what is typed is kept and not shown;
 * with the end of the answer it appears at the prompt.
 */
export class TerminalView implements ConversationView {
  readonly readline: Interface
  readonly #output: Terminal['output']
  #agent = 'agent'
  /** What was streamed of the running answer; null: nothing yet, the prompt is on the screen. */
  #streamed: string | null = null
  /** Lines that were entered while an answer streamed. */
  #unshown: string[] = []
  #closed = false

  constructor({ input, output }: Terminal) {
    this.#output = output
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (this.#streamed === null) output.write(chunk)
        done()
      },
    })
    // Readline wraps long lines by it.
    Object.defineProperty(echo, 'columns', { get: () => output.columns })
    this.readline = createInterface({ input, output: echo, terminal: true, prompt: '> ' })
    this.readline.on('close', () => {
      this.#closed = true
      // The shell's prompt begins on a line of its own.
      output.write('\n')
    })
  }

  prompt(): void {
    if (this.#streamed === null && !this.#closed) this.readline.prompt(true)
  }

  /** A line was entered. */
  entered(line: string): void {
    if (this.#streamed !== null) this.#unshown.push(line)
  }

  message(message: Message): void {
    const name = message.role === 'assistant' ? (message.agent ?? 'agent') : (message.sender ?? message.role)
    this.#print(`${name}> ${message.content}`)
  }

  /** As it was, oldest first; one's own messages look as they do at the prompt. */
  history(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.role === 'user') this.#print(`> ${message.content}`)
      else this.message(message)
    }
  }

  started(agent: string): void {
    this.#agent = agent
    // An attempt that failed: what it said does not count.
    this.#finish(' …')
  }

  delta(text: string): void {
    if (this.#streamed === null) {
      this.#clearPrompt()
      this.#output.write(`${printable(this.#agent)}> `)
      this.#streamed = ''
    }
    this.#streamed += text
    this.#output.write(printable(text))
  }

  interrupted(): void {
    this.#finish(' …')
  }

  answered(message: Message | null): void {
    if (this.#streamed === null) {
      if (message !== null) this.message({ ...message, agent: message.agent ?? this.#agent })
      return
    }
    const content = message?.content ?? this.#streamed
    if (content.startsWith(this.#streamed)) {
      this.#finish(content.slice(this.#streamed.length))
    } else {
      // Deltas were dropped on the way: the final message is what counts.
      this.#finish(' …')
      this.#print(`${this.#agent}> ${content}`)
    }
  }

  failed(error: ErrorShape): void {
    this.#finish('')
    this.notice(`no answer: ${error.code}: ${error.message}`)
  }

  aborted(reason: string, waiting: boolean): void {
    if (!waiting) this.#finish('')
    this.notice(reason ? `aborted: ${reason}` : 'aborted')
  }

  notice(text: string): void {
    this.#print(`(${text})`)
  }

  /** Closing twice is fine. */
  close(): void {
    if (this.#closed) return
    this.readline.close()
  }

  /** Ends the streamed answer, if there is one. */
  #finish(rest: string): void {
    if (this.#streamed === null) return
    this.#output.write(`${printable(rest)}\n`)
    this.#streamed = null
    for (const line of this.#unshown.splice(0)) this.#output.write(`> ${printable(line)}\n`)
    this.prompt()
  }

  #print(text: string): void {
    if (this.#closed) return
    if (this.#streamed !== null) {
      this.#output.write(`\n${printable(text)}\n`)
      return
    }
    this.#clearPrompt()
    this.#output.write(`${printable(text)}\n`)
    this.prompt()
  }

  /** The prompt may take several rows, with the cursor in any of them. */
  #clearPrompt(): void {
    cursorTo(this.#output, 0)
    moveCursor(this.#output, 0, -this.readline.getCursorPos().rows)
    clearScreenDown(this.#output)
  }
}
