import { EventEmitter } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { hearLastWords } from '../last-words.js'

/** Where a server is and how the connection is encrypted. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly encryption: 'direct' | 'starttls' | 'none'
  /** The server has to show a certificate for it (RFC 6120 §13.7.2), wherever it was found. */
  readonly domain: string
  readonly ca?: string
  readonly rejectUnauthorized: boolean
}

const NS_TLS = 'urn:ietf:params:xml:ns:xmpp-tls'
/** What a server says before it is encrypted is a header and a list of features. */
const MAX_PREAMBLE = 16_384

/**
 * The socket below @xmpp/client. It is encrypted before the library sees it: the library's own STARTTLS is optional, takes no
 * CA and names no server. It also keeps characters whole that come in two pieces.
 */
export class XmppSocket extends EventEmitter {
  secure = false
  #socket: Socket | null = null
  #error: Error | null = null

  constructor() {
    super()
    // The library may have turned away before the socket is closed.
    this.on('error', () => {})
  }

  connect(address: Address): void {
    const { host, port, encryption } = address
    if (encryption === 'direct') this.#encrypt(address)
    else {
      const socket = connect({ host, port })
      this.#watch(socket)
      socket.once('connect', () => {
        if (encryption === 'none') this.#open(socket)
        else this.#startTls(socket, address)
      })
    }
  }

  write(data: string, done: (error?: Error | null) => void): void {
    if (this.#socket === null) done(new Error('not connected'))
    else this.#socket.write(data, done)
  }

  end(): void {
    this.#socket?.end()
  }

  destroy(error?: Error): void {
    this.#socket?.destroy(error)
  }

  /** RFC 6120 §5.4 up to `<proceed/>`; what follows is the library's, on a stream of its own. */
  #startTls(socket: Socket, address: Address): void {
    let received = ''
    let asked = false
    const read = (data: Buffer) => {
      received += data.toString('latin1')
      if (asked && /<(?:\w+:)?proceed\b[^>]*>$/.test(received)) {
        socket.off('data', read)
        this.#encrypt(address, socket)
      } else if (!asked && /<\/(?:\w+:)?features>/.test(received)) {
        if (!/<(?:\w+:)?starttls\b/.test(received)) socket.destroy(new Error('no STARTTLS'))
        asked = true
        received = ''
        socket.write(`<starttls xmlns='${NS_TLS}'/>`)
      } else if (received.length > MAX_PREAMBLE || /<(?:\w+:)?(?:failure|error)\b/.test(received)) {
        socket.destroy(new Error('STARTTLS refused'))
      }
    }
    socket.on('data', read)
    socket.write(
      `<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' to='${address.domain}' ` +
        `xmlns:stream='http://etherx.jabber.org/streams'>`,
    )
  }

  #encrypt({ host, port, domain, ca, rejectUnauthorized }: Address, socket?: Socket): void {
    socket?.removeAllListeners('close')
    const encrypted = connectTls({
      ...(socket === undefined ? { host, port } : { socket }),
      servername: isIP(domain) ? undefined : domain,
      ca,
      rejectUnauthorized,
    })
    this.#watch(encrypted)
    encrypted.once('secureConnect', () => {
      this.secure = true
      this.#open(encrypted)
    })
  }

  #watch(socket: Socket): void {
    this.#socket = socket
    hearLastWords(socket)
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.once('close', () => {
      // The library waits for an error or for success, not for an end.
      this.emit('error', this.#error ?? new Error('closed'))
      this.emit('close', this.#error !== null)
    })
  }

  #open(socket: Socket): void {
    socket.setEncoding('utf8')
    socket.on('data', (data) => {
      try {
        this.emit('data', data)
      } catch (error) {
        socket.destroy(new Error('data that is no XMPP', { cause: error }))
      }
    })
    this.emit('connect')
  }
}
