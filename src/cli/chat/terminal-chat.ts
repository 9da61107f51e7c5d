import { once } from 'node:events'
import type { GatewayClient } from '../../client/node.js'
import { GatewayError } from '../../protocol/errors.js'
import type { ChatQuestions } from './chat-questions.js'
import { Conversation } from './conversation.js'
import { InputLines } from './input-lines.js'
import { type Terminal, TerminalView } from './terminal-view.js'

/** Messages that are shown at the start and by `/history`. */
const HISTORY = 20

const HELP = `/history  shows the last messages
/answer   answers what the agent asks, as a bare number or name does: /answer 1
/abort    stops what runs and waits in this session
/reset    starts the conversation anew
/reasoning  shows what the agent thinks, or hides it again
/paste    begins a message of several lines, which /end ends; \\ at the end of a line goes on, too
/quit     ends the chat; Ctrl-C stops a running answer first
//text    sends a message that begins with a slash`

/** A conversation at a prompt. Resolves when the user leaves, or the client has ended. */
export async function chatOnTerminal(
  client: GatewayClient,
  sessionKey: string,
  terminal: Terminal,
  reasoning = false,
): Promise<void> {
  const view = new TerminalView(terminal)
  const conversation = new Conversation({ client, sessionKey, view, reasoning })
  const left = once(view.readline, 'close')
  void client.closed.then(() => view.close())
  const lines = new InputLines()
  handleLines(view, conversation, lines)
  handleInterrupts(view, conversation, lines)
  view.readline.on('line', (line) => terminal.inputs?.add(line))
  try {
    await conversation.begin()
    const history = await conversation.history(HISTORY)
    view.notice(`session ${sessionKey}; /help names the commands`)
    view.history(history)
    view.prompt()
    await left
  } finally {
    view.close()
    conversation.close()
    await terminal.inputs?.written()
  }
}

function handleLines(view: TerminalView, conversation: Conversation, lines: InputLines): void {
  const atOnce = new Map<string, () => Promise<void> | void>([
    ['/help', () => view.notice(HELP)],
    ['/abort', async () => view.notice(`stopped: ${await conversation.abort()}`)],
    ['/quit', () => view.close()],
    [
      '/reasoning',
      () => {
        conversation.work.reasoning = !conversation.work.reasoning
        view.notice(`reasoning is ${conversation.work.reasoning ? 'shown' : 'hidden'}`)
      },
    ],
  ])
  const inOrder = new Map<string, () => Promise<void>>([
    ['/history', async () => view.history(await conversation.history(HISTORY))],
    ['/reset', () => conversation.reset().then(() => view.notice('the conversation begins anew'))],
  ])
  const run = async (task: (() => Promise<void> | void) | undefined) => {
    try {
      await task?.()
    } catch (error) {
      view.notice(explain(error))
    }
  }
  const send = (line: string) => {
    if (line.includes('\n')) return () => conversation.send(line)
    const text = line.trim()
    if (text.startsWith('/') && !text.startsWith('//')) {
      return () => view.notice(`${text}: unknown command; /help names them`)
    }
    return text === '' ? undefined : () => conversation.send(text.startsWith('//') ? text.slice(1) : line)
  }

  let last: Promise<void> = Promise.resolve()
  const handle = (line: string) => {
    const text = line.trim()
    const answer = answerIn(text, conversation.questions)
    const urgent = answer === null ? atOnce.get(text) : () => conversation.questions.answer(answer)
    if (urgent) void run(urgent)
    // The rest one after the other, so that messages keep their order.
    else last = last.then(() => run(inOrder.get(text) ?? send(line)))
  }
  view.readline.on('line', (line) => {
    view.entered(line)
    const whole = lines.take(line)
    view.continue(lines.open)
    if (whole !== null) handle(whole)
    view.prompt()
  })
}

/** What a line answers; null: it is none. Only `/answer` is one whatever is asked. */
export function answerIn(line: string, questions: ChatQuestions): string | null {
  const command = /^\/answer(?:\s+(.*))?$/.exec(line.trim())
  if (command !== null) return command[1] ?? ''
  return questions.choice(line) === null ? null : line.trim()
}

/** Ctrl-C gives up what is being entered, or else stops the running answer; where there is none, or it is being stopped, it leaves. */
function handleInterrupts(view: TerminalView, conversation: Conversation, lines: InputLines): void {
  let aborted: string | null = null
  view.readline.on('SIGINT', () => {
    if (lines.open) {
      lines.clear()
      view.continue(false)
      view.notice('given up')
      return
    }
    const runId = conversation.running
    if (runId === null || runId === aborted) {
      view.close()
      return
    }
    aborted = runId
    conversation.abort(runId).catch((error) => view.notice(explain(error)))
  })
}

function explain(error: unknown): string {
  return error instanceof GatewayError ? `${error.code}: ${error.message}` : String(error)
}
