import { lookup } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import { type ClientOptions, WebSocket } from 'ws'
import type { Target } from '../cli/target.js'
import { isLoopbackHost } from '../config/loopback.js'
import { plainAddress } from '../config/proxies.js'
import { VERSION } from '../version.js'

/** An address that nobody has (RFC 5737): what a client that lies about its own would claim. */
export const CLAIMED = '203.0.113.9'
/** Another address of this machine than the one that a proxy on it has. */
const SECOND_LOOPBACK = '127.0.0.99'

/** Of an answer: a list of connections, or the state that a hello is answered with. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024

export type Probe =
  | { readonly outcome: 'refused'; readonly status: number }
  | { readonly outcome: 'closed'; readonly code: number; readonly reason: string }
  /** `seen`: where the gateway believes that this came from; null: it does not tell this token. */
  | { readonly outcome: 'open'; readonly from: string; readonly seen: string | null }

interface Frame {
  readonly type: string
  readonly error?: { readonly code: string; readonly message: string } | null
  readonly server?: { readonly connId: string }
  readonly result?: { readonly connections: readonly { readonly connId: string; readonly address: string }[] }
}

/** Comes as a browser would, through whatever is between, and asks for its own address. Rejects where nothing answers. */
export async function probe(target: Target, signal: AbortSignal): Promise<Probe> {
  const { protocol, host, hostname } = new URL(target.url)
  const options = {
    ...target.tls,
    ...(await secondAddress(hostname)),
    origin: `${protocol}//${host}`,
    headers: { 'x-forwarded-for': CLAIMED },
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
  } as unknown as ClientOptions
  const socket = new WebSocket(target.wsUrl, options)
  const stop = () => socket.terminate()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await talk(socket, target.token)
  } finally {
    signal.removeEventListener('abort', stop)
    socket.terminate()
  }
}

/** On one machine client and proxy have the same address, and nobody could tell which of them arrives. */
async function secondAddress(hostname: string): Promise<object> {
  if (process.platform !== 'linux') return {}
  const { address, family } = await lookup(hostname.replace(/^\[|\]$/g, ''), 4).catch(() => ({
    address: '',
    family: 0,
  }))
  return family === 4 && isLoopbackHost(address) ? { localAddress: SECOND_LOOPBACK, family: 4 } : {}
}

function talk(socket: WebSocket, token: string | undefined): Promise<Probe> {
  return new Promise((resolve, reject) => {
    let from = ''
    let own = ''
    socket.on('error', reject)
    socket.on('unexpected-response', (_, { statusCode = 0 }: IncomingMessage) =>
      resolve({ outcome: 'refused', status: statusCode }),
    )
    socket.on('upgrade', (response: IncomingMessage) => {
      from = plainAddress(response.socket.localAddress ?? '') ?? ''
    })
    socket.on('open', () => socket.send(JSON.stringify(hello(token))))
    socket.on('close', (code, reason) => resolve({ outcome: 'closed', code, reason: reason.toString() }))
    const take = (frame: Frame) => {
      if (frame.type === 'hello-ok') {
        own = frame.server!.connId
        const ask = { type: 'request', id: '1', method: 'connections.list', params: { limit: 500 } }
        socket.send(JSON.stringify(ask))
      }
      if (frame.type !== 'response') return
      const found = frame.result?.connections.find(({ connId }) => connId === own)
      resolve({
        outcome: 'open',
        from,
        seen: found === undefined ? null : (plainAddress(found.address) ?? found.address),
      })
    }
    socket.on('message', (data) => {
      try {
        take(JSON.parse(data.toString()) as Frame)
      } catch {
        reject(new Error('what answers there is no gateway'))
      }
    })
  })
}

const hello = (token: string | undefined) => ({
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'lurkbot-doctor', version: VERSION, platform: process.platform, mode: 'cli' },
  auth: token === undefined ? null : { token },
  subscribe: [],
})
