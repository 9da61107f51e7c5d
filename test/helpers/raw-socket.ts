import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A masked client frame (RFC 6455 §5.2) with a mask of zeros; up to 125 bytes. */
export function clientFrame(text: string, opcode = 0x1): Buffer {
  const payload = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}

/** The bytes of an upgrade request, with headers added or (undefined) left out. */
export function upgradeRequest(path: string, headers: Record<string, string | undefined> = {}): string {
  const all: Record<string, string | undefined> = {
    Host: '127.0.0.1',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}: ${value}\r\n`,
  )
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** A TCP connection to the gateway that speaks only what a test writes: no pongs, no close frames. */
export class RawSocket {
  readonly socket: Socket
  readonly closed: Promise<unknown>
  received = ''

  constructor(url: string) {
    this.socket = connect(Number(new URL(url).port), '127.0.0.1')
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
    })
    this.socket.on('error', () => {})
    this.closed = once(this.socket, 'close')
  }

  /** Connected, with this upgrade answered by 101. */
  static async upgraded(url: string, path = '/ws'): Promise<RawSocket> {
    const raw = new RawSocket(url)
    raw.write(upgradeRequest(path))
    while (!raw.received.includes('\r\n\r\n')) await once(raw.socket, 'data')
    return raw
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes)
  }

  /** Everything up to the end of the connection. */
  async answer(): Promise<string> {
    await this.closed
    return this.received
  }

  destroy(): void {
    this.socket.destroy()
  }
}
