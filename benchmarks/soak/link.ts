import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { ErrorShape } from '../../src/protocol/index.js'
import { HELLO } from '../harness.js'

export class Refused extends Error {
  constructor(readonly shape: ErrorShape) {
    super(`${shape.code}: ${shape.message}`)
  }
}

interface Waiting {
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

// biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is the caller's to know
type Json = any

/** A plain client: nothing of the gateway's own client hides what the wire does. */
export class SoakLink {
  readonly #waiting = new Map<string, Waiting>()
  readonly #onEvent: (frame: Json) => void
  #next = 0
  /** The gateway's answer to the hello. */
  hello: Json

  private constructor(
    readonly socket: WebSocket,
    onEvent: (frame: Json) => void,
  ) {
    this.#onEvent = onEvent
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection is closed'))
      this.#waiting.clear()
    })
    socket.on('error', () => {})
  }

  /** `onEvent` sees each event, those included that arrive together with the answer to the hello. */
  static async open(url: string, options: { resume?: object; onEvent?: (frame: Json) => void } = {}) {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const link = new SoakLink(socket, options.onEvent ?? (() => {}))
    await once(socket, 'open')
    const welcomed = new Promise<void>((resolve, reject) => {
      socket.on('message', (data: Buffer) => {
        const frame = JSON.parse(data.toString())
        if (link.hello !== undefined) link.#take(frame)
        else if (frame.type === 'hello-ok') {
          link.hello = frame
          resolve()
        } else reject(new Error(`hello was answered with ${data}`))
      })
      socket.once('close', () => reject(new Error('the connection is closed')))
    })
    socket.send(JSON.stringify({ ...HELLO, resume: options.resume }))
    await welcomed
    return link
  }

  call(method: string, params: object = {}, sessionKey?: string): Promise<Json> {
    if (this.socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new Error('the connection is closed'))
    const id = `r${this.#next++}`
    this.socket.send(JSON.stringify({ type: 'request', id, method, params, sessionKey }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  close(): void {
    this.socket.terminate()
  }

  #take(frame: Json): void {
    if (frame.type === 'event') this.#onEvent(frame)
    else if (frame.type === 'response') this.#answer(frame)
  }

  #answer({ id, result, error }: Json): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === null) waiting?.resolve(result as never)
    else waiting?.reject(new Refused(error))
  }
}
