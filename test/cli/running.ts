import type { Test } from 'tap'
import { createNodeClient, type GatewayClient } from '../../src/client/node.js'
import {
  type GatewayProcess,
  type StartOptions,
  startGateway,
  temporaryHome,
} from '../helpers/gateway-process.js'

/** A state folder that goes with the test. */
export function newHome(t: Test): string {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  return home
}

/** A gateway as a process that goes with the test. */
export async function gateway(t: Test, options: StartOptions = {}): Promise<GatewayProcess> {
  const home = options.home ?? newHome(t)
  const started = await startGateway({ ...options, home })
  t.teardown(() => started.kill9())
  return started
}

export async function connected(t: Test, running: GatewayProcess): Promise<GatewayClient> {
  const client = createNodeClient({
    url: running.wsUrl,
    client: { id: 'test', version: '1', platform: 'test', mode: 'cli' },
    reconnect: false,
  })
  t.teardown(() => client.close())
  await client.connect()
  return client
}
