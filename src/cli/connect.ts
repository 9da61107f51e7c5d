import { createNodeClient, type GatewayClient, type NodeClientOptions } from '../client/node.js'
import { GatewayError } from '../protocol/errors.js'
import { VERSION } from '../version.js'
import { connectError } from './connect-error.js'
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
