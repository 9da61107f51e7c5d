import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline'
import { Writable } from 'node:stream'
import type { ErrorShape } from '../../protocol/errors.js'
import type { Message } from '../../protocol/events.js'
import { oneLine, printable } from '../format.js'
import { type Paint, paintFor } from '../paint.js'
import type { ConversationView } from './conversation.js'
import type { InputHistory } from './input-history.js'

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream & { readonly columns?: number }
  /** What was typed in chats before this one. */
  readonly inputs?: InputHistory
}

const PROMPT = '> '
const ANSWER_PROMPT = 'answer> '
const MORE_PROMPT = '… '

/**
 * For people: a prompt, with answers streamed above it. While an answer streams, what is typed is kept and not shown;
 * with the end of the answer it appears at the prompt.
 */
export class TerminalView implements ConversationView {
  readonly readline: Interface
  readonly #output: Terminal['output']
  readonly #paint: Paint
  #agent = 'agent'
  /** What was streamed of the running answer; null: nothing yet. */
  #streamed: string | null = null
  /** The cursor is behind it, and the prompt not on the screen. */
  #streaming = false
  /** Lines that were entered while an answer streamed. */
  #unshown: string[] = []
  #asking = false
  #continuing = false
  #closed = false

  constructor({ input, output, inputs }: Terminal) {
    this.#output = output
    this.#paint = paintFor(output)
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.#streaming) output.write(chunk)
        done()
      },
    })
    // Readline wraps long lines by it.
    Object.defineProperty(echo, 'columns', { get: () => output.columns })
    const history = inputs?.read() ?? []
    this.readline = createInterface({
      input,
      output: echo,
      terminal: true,
      prompt: PROMPT,
      history,
      historySize: 1_000,
    })
    this.readline.on('close', () => {
      this.#closed = true
      // The shell's prompt begins on a line of its own.
      output.write('\n')
    })
  }

  prompt(): void {
    if (!this.#streaming && !this.#closed) this.readline.prompt(true)
  }

  /** Whether the next line goes on with what was entered. */
  continue(continuing: boolean): void {
    this.#continuing = continuing
    this.#setPrompt()
  }

  /** A line was entered. */
  entered(line: string): void {
    if (this.#streaming) this.#unshown.push(line)
  }

  message(message: Message): void {
    const name = message.role === 'assistant' ? (message.agent ?? 'agent') : (message.sender ?? message.role)
    this.#print(message.content, { name })
  }

  /** As it was, oldest first; one's own messages look as they do at the prompt. */
  history(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.role === 'user') this.#print(`> ${message.content.replaceAll('\n', `\n${MORE_PROMPT}`)}`)
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
      this.#output.write(this.#nameOf(this.#agent))
      this.#streaming = true
    }
    this.#streamed = (this.#streamed ?? '') + text
    this.#output.write(printable(text))
  }

  reasoning(line: string): void {
    this.#print(`~ ${line}`, { format: 'dim' })
  }

  tool(title: string, failed: boolean): void {
    this.#print(`· ${oneLine(title)}${failed ? ': failed' : ''}`, { format: failed ? 'red' : 'dim' })
  }

  /** The prompt comes back for the answer, and the streamed text goes on below. */
  question(text: string): void {
    this.#pause()
    this.#asking = true
    this.#setPrompt()
    this.#print(`? ${text.replaceAll('\n', '\n  ')}`, { format: 'yellow' })
  }

  questionOver(how: string | null): void {
    this.#asking = false
    this.#setPrompt()
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
      this.#print(content, { name: this.#agent })
    }
  }

  failed(error: ErrorShape): void {
    this.#finish('')
    this.#print(`(no answer: ${error.code}: ${error.message})`, { format: 'red' })
  }

  aborted(reason: string, waiting: boolean): void {
    if (!waiting) this.#finish('')
    this.notice(reason ? `aborted: ${reason}` : 'aborted')
  }

  notice(text: string): void {
    this.#print(`(${text})`, { format: 'dim' })
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

  #print(text: string, { name, format }: { name?: string; format?: Parameters<Paint>[0] } = {}): void {
    if (this.#closed) return
    const shown = format === undefined ? printable(text) : this.#paint(format, printable(text))
    const line = `${name === undefined ? '' : this.#nameOf(name)}${shown}\n`
    if (this.#streaming) {
      this.#output.write(`\n${line}`)
      return
    }
    this.#clearPrompt()
    this.#output.write(line)
    this.prompt()
  }

  #nameOf(name: string): string {
    return `${this.#paint(['bold', 'cyan'], `${printable(name)}>`)} `
  }

  #setPrompt(): void {
    this.readline.setPrompt(this.#continuing ? MORE_PROMPT : this.#asking ? ANSWER_PROMPT : PROMPT)
  }

  /** The prompt may take several rows, with the cursor in any of them. */
  #clearPrompt(): void {
    cursorTo(this.#output, 0)
    moveCursor(this.#output, 0, -this.readline.getCursorPos().rows)
    clearScreenDown(this.#output)
  }
}
