import type { ErrorCode, GatewayError } from '../protocol/errors.js'
import { nextCommands } from './next-command.js'

/** What to type next when a gateway answers with an error; what is particular to a command, that command says itself. */
const ADVICE: Partial<Record<ErrorCode, readonly [command: string, does: string]>> = {
  UNAUTHORIZED: ['gateway status', 'says whether the token that is found is taken'],
  FORBIDDEN: ['token list', 'says what each token may do, to who has an administrator’s'],
  NOT_PAIRED: ['gateway call pairing.list', 'shows who waits to be let in'],
  NOT_LINKED: ['gateway call channels.list', 'and agents.list say what is connected, and what is missing'],
  AGENT_TIMEOUT: ['gateway call agents.list', 'says how the agents are'],
  RATE_LIMITED: ['gateway call connections.list', 'shows who asks so much'],
  INTERNAL_ERROR: [`gateway call logs.tail '{"level": "error"}'`, 'shows the cause'],
}

/** Lines that follow the message. */
export function adviceOn({ code, retryAfterMs }: GatewayError): readonly string[] {
  const wait = retryAfterMs === undefined ? [] : [`Try again in ${Math.ceil(retryAfterMs / 1000)} s.`]
  const advice = ADVICE[code]
  return advice === undefined ? wait : [...wait, ...nextCommands([advice])]
}
