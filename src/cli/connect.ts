import { createNodeClient, type GatewayClient, type NodeClientOptions } from '../client/node.js'
import { GatewayError } from '../protocol/errors.js'
import { VERSION } from '../version.js'
import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import type { Target } from './target.js'

type Options = Pick<NodeClientOptions, 'reconnect' | 'subscribe' | 'connectTimeoutMs'>

/** A client for the target that is not connected yet, so that listeners can be there before the first event. */
export function createCliClient(target: Target, options: Options = {}): GatewayClient {
  return createNodeClient({
    url: target.wsUrl,
    token: target.token,
    tls: target.tls,
    client: { id: 'lurkbot-cli', version: VERSION, platform: process.platform, mode: 'cli' },
    ...options,
  })
}

/** Connects; what went wrong instead is a `CliError` that says what to do. */
export async function connect(client: GatewayClient, target: Target): Promise<void> {
  try {
    await client.connect()
  } catch (error) {
    client.close()
    throw error instanceof GatewayError ? connectError(error, target) : error
  }
}

/** Why there is no connection (any more), for the user. */
export function connectError(error: GatewayError, target: Target): CliError {
  if (error.code === 'UNAUTHORIZED') {
    const found =
      target.token === undefined ? 'No token was found; looked for in:' : 'A token was looked for in:'
    const places = target.tokenPlaces.map((place) => `- ${place}`)
    return new CliError(
      EXIT.NO_PERMISSION,
      `Authentication failed: ${error.message}`,
      [found, ...places],
      error,
    )
  }
  if (isRefused(error.cause)) {
    const advice = ['lurkbot gateway start    starts it', 'lurkbot gateway status   says what is known of it']
    return new CliError(EXIT.UNAVAILABLE, `The gateway is not running at ${target.url}.`, advice, error)
  }
  const exitCode = error.code === 'FORBIDDEN' ? EXIT.NO_PERMISSION : EXIT.UNAVAILABLE
  return new CliError(exitCode, `${error.code}: ${error.message}`, [], error)
}

function isRefused(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : ''
  // The latter for port 0, which is only known where a gateway runs.
  return code === 'ECONNREFUSED' || code === 'EADDRNOTAVAIL'
}
