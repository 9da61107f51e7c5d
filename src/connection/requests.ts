import { isAudited } from '../auth/audit.js'
import { invoke, type Method, type RequestContext } from '../methods/registry.js'
import { type ErrorCode, type ErrorShape, GatewayError, toErrorShape } from '../protocol/errors.js'
import type { JsonObject } from '../protocol/primitives.js'
import { endRequest, requestSpan } from '../tracing/spans.js'
import type { TraceContext } from '../tracing/trace-context.js'
import { tracedLog } from '../tracing/traced-log.js'
import { NO_SPAN, type Span } from '../tracing/tracing.js'
import type { Connection } from './connection.js'
import { isMethodName, isObject, isSessionKey, readFrameId } from './inbound.js'

/** A request while it is handled. Its signal is made only for handlers that look at it. */
class PendingRequest implements RequestContext {
  readonly startedAt = performance.now()
  done: JsonObject | null = null
  target: JsonObject | null = null
  span: Span = NO_SPAN
  #controller: AbortController | null = null
  #aborted = false

  constructor(
    readonly connection: Connection,
    readonly requestId: string,
    readonly method: string,
    readonly sessionKey: string | null,
  ) {}

  get principal() {
    return this.connection.principal
  }

  get trace(): TraceContext | null {
    return this.span.trace
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted) this.#controller.abort()
    return this.#controller.signal
  }

  abort(): void {
    this.#aborted = true
    this.#controller?.abort()
  }
}

/** The requests of one connection that are not answered yet. */
export class RequestTable {
  readonly #pending = new Map<string, PendingRequest>()
  /** The response to the last of the requests with a large result, which take turns. */
  #lastLarge: Promise<void> | null = null

  constructor(private readonly connection: Connection) {}

  get size(): number {
    return this.#pending.size
  }

  /** Handles a request frame; its response goes out when the handler is done. */
  start(frame: Record<string, unknown>): void {
    const { connection } = this
    const id = readFrameId(frame)
    if (id === null) {
      connection.bad(
        null,
        new GatewayError('INVALID_REQUEST', 'id: expected a string of 1 to 128 characters'),
      )
      return
    }
    const sessionKey = frame.sessionKey ?? frame.session_key ?? null
    const problem = this.#problem(id, frame, sessionKey)
    if (problem !== null) {
      connection.bad(id, problem)
      return
    }
    const request = new PendingRequest(connection, id, frame.method as string, sessionKey as string | null)
    let result: unknown
    try {
      // First, so that what is counted below is a name of the registry's, not the client's.
      const method = connection.services.methods.get(request.method)
      request.span = requestSpan(connection.services.tracing, request, frame)
      if (this.#pending.size >= connection.services.config.connection.maxInFlight) {
        throw new GatewayError('RATE_LIMITED', 'Too many requests in flight on this connection.', {
          retryAfterMs: 100,
        })
      }
      connection.usage?.requireRoomInFlight()
      if (method.contract.large) {
        this.#lastLarge = this.#track(request, this.#inTurn(method, frame.params, request))
        return
      }
      result = this.#invoke(method, frame.params, request)
    } catch (error) {
      this.#fail(request, error)
      return
    }
    if (result instanceof Promise) this.#track(request, result)
    else this.#succeed(request, result)
  }

  /** Answers a request with `CANCELLED` at once; what its handler still says is not sent. */
  cancel(id: string): void {
    const request = this.#pending.get(id)
    if (request === undefined) return
    this.#remove(request)
    request.abort()
    this.#fail(request, new GatewayError('CANCELLED', 'The request was cancelled.'))
  }

  /** Ends every request with this error. */
  refuseAll(error: GatewayError): void {
    const requests = [...this.#pending.values()]
    this.abortAll(error.code)
    for (const request of requests) this.#fail(request, error)
  }

  abortAll(code: ErrorCode = 'CANCELLED'): void {
    for (const request of this.#pending.values()) {
      request.abort()
      endRequest(request.span, code)
    }
    if (this.connection.usage !== null) this.connection.usage.inFlight -= this.#pending.size
    this.#pending.clear()
  }

  #problem(id: string, frame: Record<string, unknown>, sessionKey: unknown): GatewayError | null {
    if (!isMethodName(frame.method)) {
      return new GatewayError('INVALID_REQUEST', 'method: expected the name of a method')
    }
    if (frame.params !== undefined && frame.params !== null && !isObject(frame.params)) {
      return new GatewayError('INVALID_REQUEST', 'params: expected an object')
    }
    if (sessionKey !== null && !isSessionKey(sessionKey)) {
      return new GatewayError(
        'INVALID_REQUEST',
        'sessionKey: expected a session key such as telegram:123456789:main',
      )
    }
    if (this.#pending.has(id))
      return new GatewayError('INVALID_REQUEST', 'id: expected one that is not in flight')
    return null
  }

  /** One after the other, each when the answers before are mostly read: else a burst of them would all be in memory. */
  async #inTurn(method: Method, params: unknown, request: PendingRequest): Promise<unknown> {
    await this.#lastLarge
    await this.connection.outbox.writable()
    return this.#isPending(request) ? this.#invoke(method, params, request) : undefined
  }

  #invoke(method: Method, params: unknown, request: PendingRequest): unknown {
    const { span } = request
    if (span === NO_SPAN) return this.#call(method, params, request)
    return span.within(() => this.#call(method, params, request))
  }

  /** What controls the gateway is recorded. */
  #call(method: Method, params: unknown, request: PendingRequest): unknown {
    if (!isAudited(method.contract)) return invoke(method, params, request)
    const { audit } = this.connection.services
    return audit.watch(request, params, () => invoke(method, params, request))
  }

  /** Resolves when the request is answered; never rejects. */
  #track(request: PendingRequest, result: Promise<unknown>): Promise<void> {
    this.#pending.set(request.requestId, request)
    if (this.connection.usage !== null) this.connection.usage.inFlight++
    return result.then(
      (value) => {
        if (this.#end(request)) this.#succeed(request, value)
      },
      (error: unknown) => {
        if (this.#end(request)) this.#fail(request, error)
      },
    )
  }

  #isPending(request: PendingRequest): boolean {
    return this.#pending.get(request.requestId) === request
  }

  /** False when the request was answered before: cancelled, or its connection ended. */
  #end(request: PendingRequest): boolean {
    return this.#isPending(request) && this.#remove(request)
  }

  #remove(request: PendingRequest): boolean {
    if (this.connection.usage !== null) this.connection.usage.inFlight--
    return this.#pending.delete(request.requestId)
  }

  #succeed(request: PendingRequest, result: unknown): void {
    try {
      this.connection.respond(request.requestId, result)
    } catch (error) {
      // A result that is not JSON.
      this.#fail(request, error)
      return
    }
    this.#observe(request, 'OK')
  }

  #fail(request: PendingRequest, error: unknown): void {
    const shape = toErrorShape(error)
    const { code } = shape
    this.connection.respondError(
      request.requestId,
      request.done === null ? error : withDone(shape, request.done),
    )
    if (code === 'INTERNAL_ERROR') {
      const { requestId, method } = request
      tracedLog(this.connection.services.log, request.trace ?? {}).error(
        { err: error, requestId, method, connId: this.connection.id },
        'request failed',
      )
    }
    this.#observe(request, code)
  }

  #observe(request: PendingRequest, code: ErrorCode | 'OK'): void {
    endRequest(request.span, code)
    this.connection.services.observeRequest(
      request.method,
      code,
      (performance.now() - request.startedAt) / 1000,
    )
  }
}

function withDone({ code, message, details, ...rest }: ErrorShape, done: JsonObject): GatewayError {
  const before = isObject(details) ? details : {}
  return new GatewayError(code, message, { ...rest, details: { ...before, ...done } })
}
