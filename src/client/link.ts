import { CLOSE, shouldReconnect } from '../protocol/close-codes.js'
import { type ErrorCode, fromErrorShape, GatewayError } from '../protocol/errors.js'
import type {
  EventFrame,
  HelloChallengeFrame,
  HelloFrame,
  HelloProofFrame,
  OutboundFrame,
  ResponseFrame,
} from '../protocol/frames.js'

/** What the client needs of a WebSocket: the browser's, and that of the `ws` package, have it. */
export interface WebSocketLike {
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'error', listener: (event: { error?: unknown; message?: string }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
}
export type WebSocketConstructor = new (url: string) => WebSocketLike

export interface LinkOptions {
  readonly WebSocket: WebSocketConstructor
  readonly url: string
  readonly hello: HelloFrame
  /** From the start of the connection to `hello-ok`, in milliseconds. */
  readonly timeoutMs: number
  /** Answers the challenge that a device gets; absent: this is none. */
  readonly prove?: (challenge: HelloChallengeFrame) => Promise<HelloProofFrame>
  readonly onHello: (frame: Extract<OutboundFrame, { type: 'hello-ok' }>) => void
  readonly onFrame: (frame: ResponseFrame | EventFrame) => void
  /** Called once, whoever ended it, but not after `close()`. */
  readonly onEnd: (error: GatewayError, reconnect: boolean) => void
}

/** One WebSocket from its hello to its end; a reconnect makes a new one. */
export interface Link {
  /** What has arrived so far, in frames; for noticing that nothing does any more. */
  readonly received: number
  send(text: string): void
  /** Closing twice is fine. */
  close(): void
  /** Ends it from this side as if the network had failed. */
  fail(error: GatewayError): void
}

const ERROR_OF_CLOSE = new Map<number, ErrorCode>([
  [CLOSE.PROTOCOL_ERROR.code, 'INVALID_REQUEST'],
  [CLOSE.BINARY.code, 'INVALID_REQUEST'],
  [CLOSE.BAD_TEXT.code, 'INVALID_REQUEST'],
  [CLOSE.TOO_MANY_PIECES.code, 'INVALID_REQUEST'],
  [CLOSE.TOO_BIG.code, 'INVALID_REQUEST'],
  [CLOSE.PROTOCOL_ABUSE.code, 'INVALID_REQUEST'],
  [CLOSE.UNAUTHORIZED.code, 'UNAUTHORIZED'],
  [CLOSE.ORIGIN_REFUSED.code, 'FORBIDDEN'],
  [CLOSE.NO_COMMON_PROTOCOL.code, 'INVALID_REQUEST'],
  [CLOSE.RATE_LIMITED.code, 'RATE_LIMITED'],
])

/** RFC 6455 §7.1.5: the connection ended without a close frame. */
const ABNORMAL = 1006

export function openLink(options: LinkOptions): Link {
  const { url, hello, timeoutMs, onHello, onFrame, onEnd } = options
  const socket = new options.WebSocket(url)
  let received = 0
  let ended = false
  let welcomed = false
  let cause: unknown

  const timer = setTimeout(
    () => fail(new GatewayError('UNAVAILABLE', `no hello-ok from ${url} within ${timeoutMs} ms`)),
    timeoutMs,
  )

  function end(error: GatewayError, reconnect: boolean): void {
    if (ended) return
    close()
    onEnd(error, reconnect)
  }

  function fail(error: GatewayError): void {
    end(error, true)
  }

  function close(): void {
    if (ended) return
    ended = true
    clearTimeout(timer)
    socket.close(1000)
  }

  function receive(data: unknown): void {
    const frame = parse(data)
    if (frame === null) {
      fail(new GatewayError('UNAVAILABLE', `${url} does not speak the protocol`))
      return
    }
    received++
    if (frame.type === 'hello-ok') {
      clearTimeout(timer)
      welcomed = true
      onHello(frame)
    } else if (frame.type === 'hello-challenge' && options.prove !== undefined) {
      options.prove(frame).then(
        (proof) => {
          if (!ended) socket.send(JSON.stringify(proof))
        },
        (cause) => {
          const message = 'the device key cannot sign'
          end(new GatewayError('UNAUTHORIZED', message, { cause }), false)
        },
      )
    } else if (frame.type === 'hello-error') {
      const error = fromErrorShape(frame.error)
      end(error, error.retryable)
    } else if (frame.type === 'response' || frame.type === 'event') {
      onFrame(frame)
    }
  }

  socket.addEventListener('open', () => {
    if (!ended) socket.send(JSON.stringify(hello))
  })
  socket.addEventListener('message', ({ data }) => {
    if (!ended) receive(data)
  })
  socket.addEventListener('error', (event) => {
    cause = event.error ?? event.message
  })
  socket.addEventListener('close', ({ code, reason }) => {
    end(closeError({ url, code, reason, welcomed, cause }), shouldReconnect(code))
  })

  return {
    get received() {
      return received
    },
    send: (text) => socket.send(text),
    close,
    fail,
  }
}

function parse(data: unknown): OutboundFrame | null {
  if (typeof data !== 'string') return null
  try {
    const frame = JSON.parse(data) as OutboundFrame | null
    return typeof frame === 'object' && frame !== null && typeof frame.type === 'string' ? frame : null
  } catch {
    return null
  }
}

function closeError(end: {
  url: string
  code: number
  reason: string
  welcomed: boolean
  cause: unknown
}): GatewayError {
  const { url, code, welcomed, cause } = end
  const known =
    code === ABNORMAL
      ? 'it was lost without a goodbye'
      : Object.values(CLOSE).find((row) => row.code === code)?.description
  const why = end.reason || (cause instanceof Error ? describe(cause) : known) || `close code ${code}`
  return new GatewayError(
    ERROR_OF_CLOSE.get(code) ?? 'UNAVAILABLE',
    welcomed ? `the connection ended: ${why}` : `cannot connect to ${url}: ${why}`,
    { details: { closeCode: code }, retryable: shouldReconnect(code), cause },
  )
}

/** An AggregateError (a name with several addresses) has no message of its own, but a code. */
function describe(error: Error): string {
  return error.message || ('code' in error ? String(error.code) : error.name)
}
