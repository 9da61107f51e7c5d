import { RequestError } from '@agentclientprotocol/sdk'
import { GatewayError } from '../../protocol/index.js'
import { sanitise } from '../backend/failures.js'

const MAX_SENT_CHARS = 300

/** ACP, Errors. */
const AUTH_REQUIRED = -32000
const NOT_FOUND = -32002
const INTERNAL_ERROR = -32603

/** The error for what the agent answers a request with. */
export function agentFailure(error: unknown, secrets: readonly string[]): GatewayError {
  if (error instanceof GatewayError) return error
  if (!(error instanceof RequestError)) {
    return new GatewayError('UNAVAILABLE', 'The connection to the agent’s process failed.', { cause: error })
  }
  const said = sanitise(firstLine(error.message), secrets, MAX_SENT_CHARS)
  const details = { code: error.code }
  if (error.code === AUTH_REQUIRED) {
    const message = 'The agent wants to be signed in: run its own login on the gateway’s machine.'
    return new GatewayError('NOT_LINKED', message, { details })
  }
  const retryable = error.code === INTERNAL_ERROR || error.code === NOT_FOUND
  return new GatewayError('UNAVAILABLE', `The agent failed: ${said}`, { details, retryable })
}

/** Whether the agent does not know the session. */
export function isUnknownSession(error: unknown): boolean {
  return error instanceof RequestError && error.code === NOT_FOUND
}

/** The error for a program that cannot even be started. */
export function startFailure(error: unknown, command: string): GatewayError {
  const { code } = error as NodeJS.ErrnoException
  const why =
    code === 'ENOENT' ? 'there is no such program, or no such folder to work in' : (code ?? 'unknown')
  const retryable = code === 'EAGAIN' || code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM'
  const message = `The agent’s program '${command}' cannot be started: ${why}.`
  return new GatewayError(retryable ? 'UNAVAILABLE' : 'NOT_LINKED', message, { cause: error })
}

/** Behind it agents put stacks. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
