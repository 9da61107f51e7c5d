import { WebSocket } from 'ws'
import type { Frame } from '../../helpers/socket.js'
import { type Call, type Connection, type History, isRefusal, now, type Position } from './history.js'

const HELLO = {
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'observer', version: '1.0.0', platform: 'node', mode: 'cli' },
}

/** Whoever watches to the end. */
export interface Watcher {
  readonly name: string
  /** After the last durable event that it got. */
  readonly position: Position | null
  /** False: there is no gateway, or it was gone before its `hello-ok`. */
  connect(url: string): Promise<boolean>
  disconnect(): Promise<void>
  /** Waits, looking after each frame. False: the connection ended or the time was over before that. */
  until(condition: () => boolean, timeoutMs?: number): Promise<boolean>
}

/** A client that writes down what it does and sees, and that comes back where it was. */
export class Observer implements Watcher {
  position: Position | null = null
  #socket: WebSocket | null = null
  #connection: Connection | null = null
  readonly #open = new Map<string, (answer: Frame | null) => void>()
  readonly #waiters = new Set<() => void>()
  #ids = 0

  constructor(
    readonly history: History,
    readonly name: string,
  ) {}

  get connected(): boolean {
    return this.#connection?.given != null && this.#connection.closedAt === Number.POSITIVE_INFINITY
  }

  /** Resumes after `position`. */
  async connect(url: string): Promise<boolean> {
    if (this.connected) return true
    const connection = this.history.connect(this.name, this.position)
    const socket = new WebSocket(url)
    this.#socket = socket
    this.#connection = connection
    return new Promise((resolve) => {
      const resume = this.position === null ? {} : { resume: this.position }
      socket.on('open', () => socket.send(JSON.stringify({ ...HELLO, ...resume })))
      socket.on('error', () => {})
      socket.on('message', (data) => {
        const frame = JSON.parse(data.toString()) as Frame
        if (frame.type === 'hello-ok') {
          this.#welcome(connection, frame)
          resolve(true)
        } else this.#receive(connection, frame)
      })
      socket.on('close', () => {
        this.#lost(connection)
        resolve(false)
      })
    })
  }

  /** Resolves with what became of it; never rejects. */
  async call(
    method: string,
    params: Record<string, unknown> = {},
    sessionKey: string | null = null,
  ): Promise<Call> {
    const call = this.history.call(this.#connection!, method, params, sessionKey)
    const answer = await new Promise<Frame | null>((resolve) => {
      if (!this.connected) return resolve(null)
      const id = `q${++this.#ids}`
      this.#open.set(id, resolve)
      const target = sessionKey === null ? {} : { sessionKey }
      this.#socket!.send(JSON.stringify({ type: 'request', id, method, params, ...target }))
    })
    call.error = answer?.error ?? null
    if (answer === null || (answer.error !== null && !isRefusal(method, params, answer.error)))
      call.outcome = 'lost'
    else {
      call.outcome = answer.error === null ? 'ok' : 'refused'
      call.result = answer.result
      call.answeredAt = now()
    }
    return call
  }

  /** As if its network had failed; resolves when it is gone. */
  async disconnect(): Promise<void> {
    const connection = this.#connection
    if (connection === null || connection.closedAt < Number.POSITIVE_INFINITY) return
    this.#socket!.terminate()
    await this.until(() => connection.closedAt < Number.POSITIVE_INFINITY)
  }

  async until(condition: () => boolean, timeoutMs = 10_000): Promise<boolean> {
    const deadline = now() + timeoutMs * 1_000
    while (!condition()) {
      const left = (deadline - now()) / 1_000
      if (!this.connected || left <= 0) return false
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          this.#waiters.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, left)
        this.#waiters.add(wake)
      })
    }
    return true
  }

  #welcome(connection: Connection, { resume }: Frame): void {
    connection.given = resume
    if (!resume.recovered || this.position === null) {
      this.position = { epoch: resume.epoch, seq: resume.seq }
    }
  }

  #receive(connection: Connection, frame: Frame): void {
    if (frame.type === 'response' && frame.id !== null) {
      this.#open.get(frame.id)?.(frame)
      this.#open.delete(frame.id)
    } else if (frame.type === 'event') {
      connection.events.push({ at: now(), frame })
      const { epoch, seq } = this.position!
      if (frame.seq > seq) this.position = { epoch, seq: frame.seq }
    }
    this.#wake()
  }

  #lost(connection: Connection): void {
    connection.closedAt = now()
    for (const lose of this.#open.values()) lose(null)
    this.#open.clear()
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake()
  }
}
