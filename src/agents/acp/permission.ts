import type { RequestPermissionRequest, RequestPermissionResponse } from '@agentclientprotocol/sdk'
import type { RunContext } from '../agent.js'
import type { AcpOptions } from './options.js'
import { toolCall } from './updates.js'

const CANCELLED: RequestPermissionResponse = { outcome: { outcome: 'cancelled' } }

/** The answer to an agent that wants a permission. */
export async function permit(
  { toolCall: tool, options }: RequestPermissionRequest,
  policy: AcpOptions['permission'],
  run: RunContext,
  signal: AbortSignal,
): Promise<RequestPermissionResponse> {
  if (policy !== 'ask') {
    const wanted = policy === 'allow' ? ['allow_once', 'allow_always'] : ['reject_once', 'reject_always']
    const option = wanted
      .map((kind) => options.find((one) => one.kind === kind))
      .find((one) => one !== undefined)
    return select(option?.optionId ?? null)
  }
  try {
    const answer = await run.ask(
      {
        title: tool.title || tool.toolCallId,
        options: options.map(({ optionId: id, name, kind }) => ({ id, name, kind })),
        tool: toolCall(tool, true),
      },
      signal,
    )
    return select(answer.optionId)
  } catch (err) {
    if (!run.signal.aborted && !signal.aborted)
      run.log.warn({ err }, 'an agent’s question could not be asked')
    return CANCELLED
  }
}

function select(optionId: string | null): RequestPermissionResponse {
  return optionId === null ? CANCELLED : { outcome: { outcome: 'selected', optionId } }
}
