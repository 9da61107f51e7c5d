import type { ConnectionOptions } from 'node:tls'
import { type ClientOptions as SocketOptions, WebSocket } from 'ws'
import { type ClientOptions, createClient, type GatewayClient } from './client.js'

export * from './client.js'
export { createDevicePem, deviceKeyOfPem } from './node-device.js'

export interface NodeClientOptions extends Omit<ClientOptions, 'WebSocket'> {
  /** For `wss://`: whom to trust, as in `tls.connect`. Default: Node's own list of authorities. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'allowPartialTrustChain' | 'checkServerIdentity'>
}

/** `createClient` for Node, over the `ws` package: Node 20 has no WebSocket of its own. */
export function createNodeClient({ tls, ...options }: NodeClientOptions): GatewayClient {
  // `ws` hands these to `tls.connect`, but types checkServerIdentity wrongly and lacks closeTimeout (since 8.19): how long
  // a peer that does not answer a close may keep the process from ending.
  const socketOptions = { ...tls, perMessageDeflate: false, closeTimeout: 2_000 } as unknown as SocketOptions
  class NodeWebSocket extends WebSocket {
    constructor(url: string) {
      super(url, socketOptions)
    }
  }
  return createClient({ ...options, WebSocket: NodeWebSocket })
}
