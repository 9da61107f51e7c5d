import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** The platform of the connector that docs/plugins.md shows: lines over TCP. */
export class LineServer {
  readonly token = 't0ken'
  readonly sockets = new Set<Socket>()
  readonly acknowledged: string[] = []
  readonly #server: Server
  readonly #heard: string[] = []
  readonly #waiters: ((text: string) => void)[] = []
  #ids = 0

  constructor() {
    this.#server = createServer((socket) => {
      this.sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.sockets.delete(socket))
      const lines = createInterface({ input: socket })
      lines.on('line', (line) => this.#onLine(socket, line))
      lines.on('error', () => {})
    })
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Someone writes to the gateway. */
  say(text: string, peer = 'ada'): void {
    for (const socket of this.sockets) socket.write(`MSG ${++this.#ids} ${peer} ${text}\n`)
  }

  /** The next `peer: text` that arrives. */
  async heard(): Promise<string> {
    return this.#heard.shift() ?? new Promise((resolve) => this.#waiters.push(resolve))
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #onLine(socket: Socket, line: string): void {
    const [verb, ...words] = line.split(' ')
    if (verb === 'AUTH') {
      if (words[0] === this.token) socket.write('OK gatebot\n')
      else socket.end('NO\n')
    } else if (verb === 'ACK') {
      this.acknowledged.push(words[0]!)
    } else if (verb === 'SAY') {
      const [peer, key, ...text] = words
      socket.write(`TOOK ${key} ${++this.#ids}\n`)
      const said = `${peer}: ${text.join(' ')}`
      const waiter = this.#waiters.shift()
      if (waiter === undefined) this.#heard.push(said)
      else waiter(said)
    }
  }
}
