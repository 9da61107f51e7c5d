import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline'
import { Writable } from 'node:stream'
import type { ErrorShape } from '../../protocol/errors.js'
import type { Message } from '../../protocol/events.js'
import { oneLine, printable } from '../format.js'
import type { ConversationView } from './conversation.js'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream & { readonly columns?: number }
}

const PROMPT = '> '
const ANSWER_PROMPT = 'answer> '

/**
 * For people: a prompt, with answers streamed above it. While an answer streams, what is typed is kept and not shown;
 * with the end of the answer it appears at the prompt.
 */
export class TerminalView implements ConversationView {
  readonly readline: Interface
  readonly #output: Terminal['output']
  #agent = 'agent'
  /** What was streamed of the running answer; null: nothing yet. */
  #streamed: string | null = null
  /** The cursor is behind it, and the prompt not on the screen. */
  #streaming = false
  /** Lines that were entered while an answer streamed. */
  #unshown: string[] = []
  #closed = false

  constructor({ input, output }: Terminal) {
    this.#output = output
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.#streaming) output.write(chunk)
        done()
      },
    })
    // Readline wraps long lines by it.
    Object.defineProperty(echo, 'columns', { get: () => output.columns })
    this.readline = createInterface({ input, output: echo, terminal: true, prompt: PROMPT })
    this.readline.on('close', () => {
      this.#closed = true
      // The shell's prompt begins on a line of its own.
      output.write('\n')
    })
  }

  prompt(): void {
    if (!this.#streaming && !this.#closed) this.readline.prompt(true)
  }

  /** A line was entered. */
  entered(line: string): void {
    if (this.#streaming) this.#unshown.push(line)
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
    if (!this.#streaming) {
      this.#clearPrompt()
      this.#output.write(`${printable(this.#agent)}> `)
      this.#streaming = true
    }
    this.#streamed = (this.#streamed ?? '') + text
    this.#output.write(printable(text))
  }

  reasoning(line: string): void {
    this.#print(`~ ${line}`)
  }

  tool(title: string, failed: boolean): void {
    this.#print(`· ${oneLine(title)}${failed ? ': failed' : ''}`)
  }

  /** The prompt comes back for the answer, and the streamed text goes on below. */
  question(text: string): void {
    this.#pause()
    this.readline.setPrompt(ANSWER_PROMPT)
    this.#print(`? ${text.replaceAll('\n', '\n  ')}`)
  }

  questionOver(how: string | null): void {
    this.readline.setPrompt(PROMPT)
    if (how !== null) this.notice(how)
    else if (!this.#streaming && !this.#closed) {
      this.#clearPrompt()
      this.prompt()
    }
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
      const rest = content.slice(this.#streamed.length)
      if (!this.#streaming && rest !== '') this.delta(rest)
      else this.#pause(rest)
      this.#finish('')
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
    this.#pause(rest)
    this.#streamed = null
  }

  /** Ends the line of the streamed answer, and shows the prompt. */
  #pause(rest = ''): void {
    if (!this.#streaming) return
    this.#output.write(`${printable(rest)}\n`)
    this.#streaming = false
    for (const line of this.#unshown.splice(0)) this.#output.write(`> ${printable(line)}\n`)
    this.prompt()
  }

  #print(text: string): void {
    if (this.#closed) return
    if (this.#streaming) {
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
