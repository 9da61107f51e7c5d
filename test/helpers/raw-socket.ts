import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A masked client frame (RFC 6455 §5.2) with a mask of zeros. */
export function clientFrame(payload: string | Buffer, opcode = 0x1, final = true): Buffer {
  const bytes = Buffer.from(payload as string)
  return Buffer.concat([frameHeader(bytes.length, opcode, final), bytes])
}

/** The header of a client frame, whatever comes after it. */
export function frameHeader(length: number | bigint, opcode = 0x1, final = true): Buffer {
  const first = (final ? 0x80 : 0) | opcode
  const mask = [0, 0, 0, 0]
  if (length < 126) return Buffer.from([first, 0x80 | Number(length), ...mask])
  if (length < 65_536) {
    return Buffer.from([first, 0x80 | 126, Number(length) >> 8, Number(length) & 0xff, ...mask])
  }
  const header = Buffer.from([first, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, ...mask])
  header.writeBigUInt64BE(BigInt(length), 2)
  return header
}

export const HELLO = JSON.stringify({
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'raw', version: '1.0.0', platform: 'node', mode: 'cli' },
})

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

  /** `localAddress`: which of this machine's addresses it comes from. */
  constructor(url: string, localAddress?: string) {
    this.socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress })
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

  /** The same, with its hello answered. */
  static async greeted(url: string): Promise<RawSocket> {
    const raw = await RawSocket.upgraded(url)
    raw.write(clientFrame(HELLO))
    await raw.until('"hello-ok"')
    return raw
  }

  /** Waits for bytes, in one piece or several. @throws when the connection ends before. */
  async until(text: string): Promise<void> {
    while (!this.received.includes(text)) {
      if (this.socket.destroyed) throw new Error(`closed while waiting for ${text}: ${this.received}`)
      await Promise.race([once(this.socket, 'data'), this.closed])
    }
  }

  /** The close code that came, once the connection has ended; null: none did. */
  async closeCode(): Promise<number | null> {
    await this.closed
    const bytes = Buffer.from(this.received.slice(this.received.indexOf('\r\n\r\n') + 4), 'latin1')
    for (let at = 0; at + 2 <= bytes.length; ) {
      const length = bytes[at + 1]! & 0x7f
      const header = length < 126 ? 2 : length === 126 ? 4 : 10
      if ((bytes[at]! & 0x0f) === 0x8) return bytes.readUInt16BE(at + header)
      const size =
        length < 126
          ? length
          : length === 126
            ? bytes.readUInt16BE(at + 2)
            : Number(bytes.readBigUInt64BE(at + 2))
      at += header + size
    }
    return null
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
