import type { GatewayClient } from '../client/node.js'
import { GatewayError } from '../protocol/errors.js'
import type { JsonObject } from '../protocol/primitives.js'
import { CliError } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { nextCommand, nextCommands } from './next-command.js'
import { findTarget, type TargetOptions } from './target.js'

export interface CallOptions extends TargetOptions {
  readonly session?: string
  /** Seconds. */
  readonly timeout: number
}

/** `lurkbot gateway call METHOD [PARAMS]`: the result as JSON on standard output. */
export async function call(
  method: string,
  paramsText: string | undefined,
  options: CallOptions,
): Promise<ExitCode> {
  const params = parseParams(paramsText)
  const timeoutMs = options.timeout * 1000
  const target = await findTarget(options)
  const client = createCliClient(target, { reconnect: false, subscribe: [], connectTimeoutMs: timeoutMs })
  await connect(client, target)
  try {
    const result = await client.request(method, params, { sessionKey: options.session, timeoutMs })
    console.log(JSON.stringify(result, null, 2))
    return EXIT.OK
  } catch (error) {
    throw error instanceof GatewayError ? callError(error, method, client) : error
  } finally {
    client.close()
  }
}

/** How the method is called is not known to who gets these. */
function callError(error: GatewayError, method: string, client: GatewayClient): Error {
  const message = `${error.code}: ${error.message}`
  if (error.code === 'METHOD_NOT_FOUND') {
    const known = client.state.status === 'open' ? client.state.hello.features.methods : []
    const family = known.filter((name) => name.split('.')[0] === method.split('.')[0])
    const advice = family.length === 0 ? [] : [`There are ${family.join(', ')}.`]
    advice.push(...nextCommands([['gateway call methods.list', 'describes every method']]))
    return new CliError(EXIT.FAILED, message, advice, error)
  }
  if (error.code === 'INVALID_REQUEST') {
    const choice = `.methods[] | select(.name == "${method}")`
    const advice = nextCommands([[`gateway call methods.list | jq '${choice}'`, 'describes what it takes']])
    return new CliError(EXIT.FAILED, message, advice, error)
  }
  return error
}

function parseParams(text: string | undefined): JsonObject {
  if (text === undefined) return {}
  let params: unknown
  try {
    params = JSON.parse(text)
  } catch (error) {
    throw paramsError((error as Error).message)
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw paramsError(
      `found ${Array.isArray(params) ? 'an array' : params === null ? 'null' : typeof params}`,
    )
  }
  return params as JsonObject
}

function paramsError(found: string): CliError {
  const example = nextCommand(`gateway call sessions.list '{"limit": 5}'`)
  return new CliError(EXIT.USAGE, `PARAMS: expected a JSON object; ${found}`, [`Such as: ${example}`])
}
