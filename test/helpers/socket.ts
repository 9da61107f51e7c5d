import { once } from 'node:events'
import type { Test } from 'tap'
import { type ClientOptions, WebSocket } from 'ws'

/** A frame as it came; tests look into it as they please. */
export type Frame = {
  type: string
  id: string | null
  event: string
  // biome-ignore lint/suspicious/noExplicitAny: the wire is what these tests are about; its shape is asserted, not typed
  [field: string]: any
}

const HELLO = {
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'test', version: '1.0.0', platform: 'node', mode: 'cli' },
}

/** A bare WebSocket that keeps what it received until a test asks for it. */
export class TestSocket {
  readonly socket: WebSocket
  readonly opened: Promise<unknown>
  readonly closed: Promise<{ code: number; reason: string }>
  /** Every frame so far. */
  readonly frames: Frame[] = []
  /** How many pings came so far. */
  pings = 0
  helloOk: Frame | null = null
  readonly #waiters = new Set<() => void>()
  #ids = 0

  constructor(url: string, options: ClientOptions & { protocols?: string[] } = {}) {
    const { protocols = [], ...rest } = options
    this.socket = new WebSocket(url, protocols, rest)
    this.opened = once(this.socket, 'open')
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    this.socket.on('message', (data) => {
      this.frames.push(JSON.parse(data.toString()))
      for (const wake of [...this.#waiters]) wake()
    })
    this.socket.on('ping', () => this.pings++)
    this.socket.on('error', () => {})
    this.closed.then(() => {
      for (const wake of [...this.#waiters]) wake()
    })
  }

  /** One that has been welcomed; it ends with the test. */
  static async greeted(t: Test, url: string): Promise<TestSocket> {
    const socket = new TestSocket(url)
    t.teardown(() => socket.terminate())
    await socket.opened
    await socket.hello()
    return socket
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** The first frame, from `from` on, that fits; waits for it. */
  async next(fits: (frame: Frame) => boolean, from = 0): Promise<Frame> {
    for (;;) {
      const found = this.frames.slice(from).find(fits)
      if (found !== undefined) return found
      if (this.socket.readyState === WebSocket.CLOSED)
        throw new Error(`closed while waiting: ${JSON.stringify(this.frames.at(-1))}`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake)
          resolve()
        }
        this.#waiters.add(wake)
      })
    }
  }

  /** Waits until `count` frames fit, and gives them in order. */
  async all(count: number, fits: (frame: Frame) => boolean): Promise<Frame[]> {
    await this.next(() => this.frames.filter(fits).length >= count)
    return this.frames.filter(fits)
  }

  event(name: string, fits: (frame: Frame) => boolean = () => true): Promise<Frame> {
    return this.next((frame) => frame.type === 'event' && frame.event === name && fits(frame))
  }

  events(): Frame[] {
    return this.frames.filter((frame) => frame.type === 'event')
  }

  async hello(overrides: Record<string, unknown> = {}): Promise<Frame> {
    this.send({ ...HELLO, ...overrides })
    const answer = await this.next((frame) => frame.type === 'hello-ok' || frame.type === 'hello-error')
    if (answer.type === 'hello-ok') this.helloOk = answer
    return answer
  }

  /** Sends a request and gives its response, whatever it says. */
  async request(method: string, params?: unknown, sessionKey?: string): Promise<Frame> {
    const id = `q${++this.#ids}`
    this.send({ type: 'request', id, method, params, sessionKey })
    return this.next((frame) => frame.type === 'response' && frame.id === id)
  }

  /** The result of a request. @throws when it is an error. */
  async call(method: string, params?: unknown, sessionKey?: string): Promise<Frame['result']> {
    const { result, error } = await this.request(method, params, sessionKey)
    if (error !== null) throw Object.assign(new Error(`${error.code}: ${error.message}`), { error })
    return result
  }

  /** The error of a request. @throws when it succeeds. */
  async refused(method: string, params?: unknown, sessionKey?: string): Promise<Frame['error']> {
    const { result, error } = await this.request(method, params, sessionKey)
    if (error === null) throw new Error(`expected an error, got ${JSON.stringify(result)}`)
    return error
  }

  terminate(): void {
    this.socket.terminate()
  }
}
