import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type {
  CancelFrame,
  ErrorShape,
  EventFrame,
  HelloFrame,
  HelloOkFrame,
  InboundFrame,
  OutboundFrame,
  RequestFrame,
} from '../../src/protocol/index.js'

/** What arrives, to be awaited one by one. */
export class Inbox<T> {
  readonly #items: T[] = []
  readonly #takers: ((item: T) => void)[] = []

  put(item: T): void {
    const taker = this.#takers.shift()
    if (taker) taker(item)
    else this.#items.push(item)
  }

  get size(): number {
    return this.#items.length
  }

  async next(): Promise<T> {
    if (this.#items.length > 0) return this.#items.shift()!
    return new Promise((resolve) => this.#takers.push(resolve))
  }
}

/** The gateway's end of one connection, driven by a test frame by frame. */
export class ScriptedConnection {
  readonly requests = new Inbox<RequestFrame>()
  readonly cancels = new Inbox<CancelFrame>()
  readonly closed: Promise<number>
  readonly #socket: WebSocket

  constructor(
    readonly hello: HelloFrame,
    socket: WebSocket,
  ) {
    this.#socket = socket
    this.closed = once(socket, 'close').then(([code]) => code as number)
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as InboundFrame
      if (frame.type === 'request') this.requests.put(frame)
      if (frame.type === 'cancel') this.cancels.put(frame)
    })
  }

  send(frame: OutboundFrame): void {
    this.#socket.send(JSON.stringify(frame))
  }

  sendRaw(data: string): void {
    this.#socket.send(data)
  }

  welcome(resume: HelloOkFrame['resume'], policy: Partial<HelloOkFrame['policy']> = {}): void {
    this.send({
      type: 'hello-ok',
      protocol: 1,
      server: { version: '0.0.0', host: null, connId: 'c1' },
      features: { methods: [], events: [] },
      snapshot: { sessions: [], cronJobs: [], channels: [] },
      policy: {
        maxPayloadBytes: 1_048_576,
        maxBufferedBytes: 1_048_576,
        heartbeatMs: 25_000,
        maxInFlight: 256,
        ...policy,
      },
      auth: { role: 'admin', scopes: ['admin'] },
      resume,
    })
  }

  refuse(error: ErrorShape): void {
    this.send({ type: 'hello-error', error })
  }

  answer(request: RequestFrame, result: unknown): void {
    this.send({ type: 'response', id: request.id, result, error: null })
  }

  fail(request: RequestFrame, error: ErrorShape): void {
    this.send({ type: 'response', id: request.id, result: null, error })
  }

  event(event: string, seq?: number, sessionKey: string | null = null): void {
    const frame: EventFrame = { type: 'event', id: `${event}-${seq}`, at: 1, event, payload: {}, sessionKey }
    if (seq !== undefined) frame.seq = seq
    this.send(frame)
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason)
  }

  /** As if the network had gone. */
  cut(): void {
    this.#socket.terminate()
  }
}

export interface ScriptedGateway {
  readonly url: string
  /** The next connection whose hello has arrived. */
  next(): Promise<ScriptedConnection>
  close(): Promise<void>
}

/** A WebSocket server that speaks the protocol's frames and does what a test says, nothing by itself. */
export async function scriptedGateway(port = 0): Promise<ScriptedGateway> {
  const server = new WebSocketServer({ port, host: '127.0.0.1' })
  await once(server, 'listening')
  const connections = new Inbox<ScriptedConnection>()
  server.on('connection', (socket) => {
    socket.once('message', (data) => {
      connections.put(new ScriptedConnection(JSON.parse(String(data)) as HelloFrame, socket))
    })
  })
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`,
    next: () => connections.next(),
    close: async () => {
      for (const socket of server.clients) socket.terminate()
      server.close()
      await once(server, 'close')
    },
  }
}
