import { createInterface } from 'node:readline'
import type { GatewayClient } from '../client/node.js'
import { resolveHome } from '../config/paths.js'
import { toErrorShape } from '../protocol/errors.js'
import { Conversation } from './chat/conversation.js'
import { InputHistory } from './chat/input-history.js'
import { JsonView } from './chat/json-view.js'
import { PlainView } from './chat/plain-view.js'
import { answerIn, chatOnTerminal } from './chat/terminal-chat.js'
import { connect, createCliClient } from './connect.js'
import { connectError } from './connect-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { findTarget, type TargetOptions } from './target.js'

export interface ChatOptions extends TargetOptions {
  /** Whether what the agent thinks is shown from the beginning. */
  readonly reasoning?: boolean
  /** A line of JSON for each answer; on a terminal, too. */
  readonly json?: boolean
}

/** `lurkbot gateway chat [SESSION]`: interactive on a terminal; in a pipe each line is a message and each answer is printed. */
export async function chat(sessionKey: string, options: ChatOptions): Promise<ExitCode> {
  const { stdin, stdout, stderr } = process
  const { reasoning, json } = options
  const target = await findTarget(options)
  const client = createCliClient(target)
  await connect(client, target)
  /** Why the client has ended, if not by us. Then the rest of the talk is of no interest. */
  const lost = () => (client.state.status === 'closed' ? client.state.error : null)
  let code: ExitCode = EXIT.OK
  try {
    if (stdin.isTTY && stdout.isTTY && !json) {
      const inputs = new InputHistory(resolveHome(process.env, process.cwd()))
      await chatOnTerminal(client, sessionKey, { input: stdin, output: stdout, inputs }, reasoning)
    } else {
      const view = json ? new JsonView(stdout, stderr, sessionKey) : new PlainView(stdout, stderr)
      code = await chatInPipe(client, sessionKey, view, reasoning)
    }
  } catch (error) {
    if (lost() === null) throw error
  } finally {
    client.close()
  }
  const error = lost()
  if (error !== null) throw connectError(error, target)
  return code
}

async function chatInPipe(
  client: GatewayClient,
  sessionKey: string,
  view: PlainView,
  reasoning?: boolean,
): Promise<ExitCode> {
  const conversation = new Conversation({ client, sessionKey, view, reasoning })
  try {
    await conversation.begin()
    // Not before: lines that come while nobody iterates are lost.
    const lines = createInterface({ input: process.stdin })
    void client.closed.then(() => {
      lines.close()
      conversation.close()
    })
    for await (const line of lines) {
      const answer = answerIn(line, conversation.questions)
      if (answer !== null) await answerInPipe(answer, conversation, view)
      else if (line.trim() !== '') await conversation.send(line)
    }
    await conversation.idle()
    return view.failures === 0 ? EXIT.OK : EXIT.FAILED
  } finally {
    conversation.close()
  }
}

/** What is piped in comes before anything is asked: an answer waits for that, as long as there are runs that may ask. */
async function answerInPipe(answer: string, conversation: Conversation, view: PlainView): Promise<void> {
  await Promise.race([conversation.questions.next(), conversation.idle()])
  try {
    await conversation.questions.answer(answer)
  } catch (error) {
    view.failed(toErrorShape(error), null)
  }
}
