import { type ErrorShape, fromErrorShape, GatewayError } from '../protocol/errors.js'
import type { RequestFrame, ResponseFrame } from '../protocol/frames.js'
import type { JsonObject } from '../protocol/primitives.js'

/** `traceparent`, `tracestate`: of the trace that the request belongs to (W3C Trace Context). */
export interface RequestOptions extends Pick<RequestFrame, 'traceparent' | 'tracestate'> {
  readonly sessionKey?: string
  /** Aborting tells the gateway (`cancel` frame) and rejects with `CANCELLED`. */
  readonly signal?: AbortSignal
  /** Milliseconds until `UNAVAILABLE`, the wait for a connection included. Default: the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number
}

interface Entry {
  readonly method: string
  readonly text: string
  /** It carries an idempotency key, so sending it again is harmless. */
  readonly repeatable: boolean
  sent: boolean
  settle(error: GatewayError | null, result?: unknown): void
}

const encoder = new TextEncoder()

/** The requests that have no answer yet, sent or waiting for a connection, in the order in which they were made. */
export class Requests {
  readonly #entries = new Map<string, Entry>()
  readonly #maxWaiting: number
  #send: ((text: string) => void) | null = null
  #maxPayloadBytes = Number.POSITIVE_INFINITY
  #lastId = 0
  #waiting = 0

  constructor(options: { maxWaiting: number }) {
    this.#maxWaiting = options.maxWaiting
  }

  add(method: string, params: JsonObject, options: RequestOptions & { timeoutMs: number }): Promise<unknown> {
    const { sessionKey, signal, timeoutMs, traceparent, tracestate } = options
    if (signal?.aborted) return Promise.reject(cancelled(method))
    if (this.#send === null && this.#waiting >= this.#maxWaiting) {
      return Promise.reject(
        new GatewayError('UNAVAILABLE', `not connected, and ${this.#waiting} requests wait already`),
      )
    }
    const id = `r${++this.#lastId}`
    const frame: RequestFrame = { type: 'request', id, method, params }
    if (sessionKey !== undefined) frame.sessionKey = sessionKey
    if (traceparent !== undefined) Object.assign(frame, { traceparent, tracestate })
    const text = JSON.stringify(frame)
    const repeatable = typeof params.idempotencyKey === 'string'

    return new Promise((resolve, reject) => {
      const give = (error: GatewayError) => {
        if (entry.sent) this.#send?.(JSON.stringify({ type: 'cancel', id }))
        entry.settle(error)
      }
      const onAbort = () => give(cancelled(method))
      const timer = setTimeout(() => give(timedOut(method, timeoutMs, entry.sent)), timeoutMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      const entry: Entry = {
        method,
        text,
        repeatable,
        sent: false,
        settle: (error, result) => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
          this.#entries.delete(id)
          if (!entry.sent) this.#waiting--
          if (error === null) resolve(result)
          else reject(error)
        },
      }
      this.#entries.set(id, entry)
      this.#waiting++
      this.#dispatch(entry)
    })
  }

  /** Sends an event frame where there is a connection that takes it; nothing is kept of it. */
  emit(event: string, payload: JsonObject, sessionKey?: string): boolean {
    const text = JSON.stringify({ type: 'event', id: `e${++this.#lastId}`, event, payload, sessionKey })
    if (this.#send === null || this.#excessBytes(text) > 0) return false
    this.#send(text)
    return true
  }

  answer(frame: ResponseFrame): void {
    const entry = frame.id === null ? undefined : this.#entries.get(frame.id)
    if (entry === undefined) return
    if (frame.error === null) entry.settle(null, frame.result)
    else if (entry.repeatable && isStopping(frame.error)) this.#hold(entry)
    else entry.settle(fromErrorShape(frame.error))
  }

  /** From now on requests are sent. `flush` sends those that wait. */
  connected(send: (text: string) => void, maxPayloadBytes: number): void {
    this.#send = send
    this.#maxPayloadBytes = maxPayloadBytes
  }

  flush(): void {
    for (const entry of [...this.#entries.values()]) if (!entry.sent) this.#dispatch(entry)
  }

  /** From now on requests wait. Sent ones wait again where that is harmless; the others may have been executed, or not. */
  disconnected(): void {
    this.#send = null
    for (const entry of [...this.#entries.values()]) {
      if (!entry.sent) continue
      if (entry.repeatable) this.#hold(entry)
      else {
        entry.settle(
          new GatewayError(
            'UNAVAILABLE',
            `the connection was lost before ${entry.method} was answered; it may have been executed`,
          ),
        )
      }
    }
  }

  rejectAll(error: GatewayError): void {
    this.#send = null
    for (const entry of [...this.#entries.values()]) entry.settle(error)
  }

  /** It waits for the next connection, as long as its time limit lets it. */
  #hold(entry: Entry): void {
    if (entry.sent) this.#waiting++
    entry.sent = false
  }

  #dispatch(entry: Entry): void {
    if (this.#send === null) return
    const excessBytes = this.#excessBytes(entry.text)
    if (excessBytes > 0) {
      const bytes = this.#maxPayloadBytes + excessBytes
      const message = `${entry.method}: the request has ${bytes} bytes, the gateway takes ${this.#maxPayloadBytes}`
      entry.settle(new GatewayError('INVALID_REQUEST', message))
      return
    }
    entry.sent = true
    this.#waiting--
    this.#send(entry.text)
  }

  /** By how much a frame is too large: it would end the connection with 1009 and everything else on it. */
  #excessBytes(text: string): number {
    // A character has at most 3 bytes.
    if (text.length * 3 <= this.#maxPayloadBytes) return 0
    return encoder.encode(text).length - this.#maxPayloadBytes
  }
}

/** The connection ends next, and the gateway or its successor is there for another one. */
function isStopping({ code, details }: ErrorShape): boolean {
  return code === 'UNAVAILABLE' && (details as { reason?: unknown } | null)?.reason === 'stopping'
}

function cancelled(method: string): GatewayError {
  return new GatewayError('CANCELLED', `${method} was cancelled`)
}

function timedOut(method: string, timeoutMs: number, sent: boolean): GatewayError {
  const what = sent ? `no answer to ${method}` : `no connection for ${method}`
  const doubt = sent ? '; it may have been executed' : ''
  return new GatewayError('UNAVAILABLE', `${what} within ${timeoutMs} ms${doubt}`)
}
