import { createInterface } from 'node:readline'
import type { GatewayClient } from '../client/node.js'
import { Conversation } from './chat/conversation.js'
import { PlainView } from './chat/plain-view.js'
import { chatOnTerminal } from './chat/terminal-chat.js'
import { connect, connectError, createCliClient } from './connect.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { findTarget, type TargetOptions } from './target.js'

/** `lurkbot gateway chat [SESSION]`: interactive on a terminal; in a pipe each line is a message and each answer is printed. */
export async function chat(sessionKey: string, options: TargetOptions): Promise<ExitCode> {
  const { stdin, stdout } = process
  const target = await findTarget(options)
  const client = createCliClient(target)
  await connect(client, target)
  /** Why the client has ended, if not by us. Then the rest of the talk is of no interest. */
  const lost = () => (client.state.status === 'closed' ? client.state.error : null)
  let code: ExitCode = EXIT.OK
  try {
    if (stdin.isTTY && stdout.isTTY)
      await chatOnTerminal(client, sessionKey, { input: stdin, output: stdout })
    else code = await chatInPipe(client, sessionKey)
  } catch (error) {
    if (lost() === null) throw error
  } finally {
    client.close()
  }
  const error = lost()
  if (error !== null) throw connectError(error, target)
  return code
}

async function chatInPipe(client: GatewayClient, sessionKey: string): Promise<ExitCode> {
  const view = new PlainView(process.stdout, process.stderr)
  const conversation = new Conversation({ client, sessionKey, view })
  try {
    await conversation.begin()
    // Not before: lines that come while nobody iterates are lost.
    const lines = createInterface({ input: process.stdin })
    void client.closed.then(() => {
      lines.close()
      conversation.close()
    })
    for await (const line of lines) if (line.trim() !== '') await conversation.send(line)
    await conversation.idle()
    return view.failures === 0 ? EXIT.OK : EXIT.FAILED
  } finally {
    conversation.close()
  }
}
