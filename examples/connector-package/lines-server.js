import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

/** A platform of the kind that `index.js` connects to, for its tests. */
export class LinesServer {
  token = 't0ken'
  sockets = new Set()
  /** Those of them that have shown the token. */
  #clients = new Set()
  #server = createServer((socket) => this.#serve(socket))
  /** What was not acknowledged yet, by its id. */
  #unacknowledged = new Map()
  #heard = []
  #waiters = []
  /** The keys of what was said: it is not said again. */
  #taken = new Set()
  #ids = 0

  async listen() {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port() {
    return this.#server.address().port
  }

  /** Someone writes to the gateway. */
  say(text, peer = 'ada') {
    const line = `MSG ${++this.#ids} ${peer} ${text}\n`
    this.#unacknowledged.set(String(this.#ids), line)
    for (const client of this.#clients) client.write(line)
  }

  /** Resolves with the next `peer: text` that the gateway says, or has said and was not asked for yet. */
  async heard() {
    return this.#heard.shift() ?? new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** The server lives on. */
  dropConnections() {
    for (const socket of this.sockets) socket.destroy()
  }

  async close() {
    this.dropConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(socket) {
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      this.sockets.delete(socket)
      this.#clients.delete(socket)
    })
    const lines = createInterface({ input: socket })
    lines.on('line', (line) => this.#onLine(socket, line))
    lines.on('error', () => {})
  }

  #onLine(socket, line) {
    const [verb, ...words] = line.split(' ')
    if (verb === 'AUTH') {
      if (words[0] !== this.token) return socket.end('NO\n')
      this.#clients.add(socket)
      socket.write('OK gatebot\n')
      for (const message of this.#unacknowledged.values()) socket.write(message)
    } else if (verb === 'ACK') {
      this.#unacknowledged.delete(words[0])
    } else if (verb === 'SAY') {
      const [peer, key, ...text] = words
      socket.write(`TOOK ${key} ${++this.#ids}\n`)
      if (this.#taken.has(key)) return
      this.#taken.add(key)
      const said = `${peer}: ${text.join(' ')}`
      const waiter = this.#waiters.shift()
      if (waiter === undefined) this.#heard.push(said)
      else waiter(said)
    }
  }
}
