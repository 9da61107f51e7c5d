import { EventEmitter } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ClientOptions } from 'irc-framework'
import { hearLastWords } from '../last-words.js'

/** Tags may take 8191 bytes and the rest 512 (IRCv3 message-tags); beyond is no line of IRC. */
const MAX_LINE_BYTES = 16_384

/**
 * The lines of one connection. In place of irc-framework's own transport, which takes no CA, keeps a line without end in
 * memory, and lets a malformed line end the process.
 */
export class LineTransport extends EventEmitter {
  readonly #options: ClientOptions
  #socket: Socket | null = null
  #isOpen = false
  #error: Error | null = null
  #rest: Buffer = Buffer.alloc(0)

  constructor(options: ClientOptions) {
    super()
    this.#options = options
  }

  connect(): void {
    const { host, port, tls, rejectUnauthorized, ca } = this.#options
    const servername = isIP(host) ? undefined : host
    const socket = tls
      ? connectTls({ host, port, servername, rejectUnauthorized, ca })
      : connect({ host, port })
    this.#socket = socket
    hearLastWords(socket)
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      this.#isOpen = true
      this.emit('open')
    })
    socket.on('data', (data: Buffer) => this.#read(data))
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.once('close', () => {
      this.#isOpen = false
      this.emit('close', this.#error ?? false)
    })
  }

  isConnected(): boolean {
    return this.#isOpen
  }

  writeLine(line: string, done?: () => void): void {
    if (this.#isOpen) this.#socket?.write(`${line}\r\n`, done)
    else if (done !== undefined) process.nextTick(done)
  }

  close(force = false): void {
    if (force || !this.#isOpen) this.#socket?.destroy()
    else this.#socket?.end()
  }

  disposeSocket(): void {
    this.#socket?.destroy()
  }

  /** Only UTF-8 is spoken. */
  setEncoding(encoding: string): boolean {
    return encoding === 'utf8'
  }

  #read(data: Buffer): void {
    let rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data])
    for (let end = rest.indexOf(10); end !== -1 && this.#isOpen; end = rest.indexOf(10)) {
      this.#take(rest.subarray(0, end).toString('utf8'))
      rest = rest.subarray(end + 1)
    }
    this.#rest = rest
    if (rest.length > MAX_LINE_BYTES) this.#socket?.destroy(new Error('a line without end'))
  }

  #take(line: string): void {
    try {
      this.emit('line', line)
    } catch (error) {
      this.#socket?.destroy(new Error('a line that is no IRC', { cause: error }))
    }
  }
}
