import type { Ended } from '../lanes/ended.js'
import type { ErrorCode } from '../protocol/errors.js'
import { ERROR_CODES, GatewayError } from '../protocol/errors.js'
import type { InboundEvent } from '../protocol/inbound-event.js'
import type { ToolCall } from '../protocol/index.js'
import { readTrace, type Traced, traceOf } from './trace-context.js'
import { carried, NO_SPAN, type Span, type Tracing } from './tracing.js'

/**
 * The spans of the gateway: names and attributes by OpenTelemetry's semantic conventions where they have such (rpc, http,
 * messaging, gen_ai), `lurkbot.*` otherwise. They say what was handled and how it went, never what was said.
 */
const SYSTEM = { 'messaging.system': 'lurkbot' } as const

/** What comes from outside is read anew, whoever handed it on. */
function originOf({ traceparent, tracestate }: { traceparent?: unknown; tracestate?: unknown }) {
  return traceparent === undefined ? null : readTrace(traceparent, tracestate)
}

/** From a request frame to its response. */
export function requestSpan(
  tracing: Tracing,
  request: {
    readonly method: string
    readonly sessionKey: string | null
    readonly connection: { id: string }
  },
  frame: Record<string, unknown>,
): Span {
  const parent = originOf(frame)
  if (!tracing.enabled) return carried(parent)
  const { method, sessionKey, connection } = request
  return tracing.start(method, {
    kind: 'server',
    parent,
    attributes: {
      'rpc.system': 'lurkbot',
      'rpc.method': method,
      'lurkbot.session.key': sessionKey ?? undefined,
      'lurkbot.connection.id': connection.id,
    },
  })
}

export function endRequest(span: Span, code: ErrorCode | 'OK'): void {
  if (span === NO_SPAN) return
  if (code !== 'OK') failWith(span, code)
  span.end()
}

export interface TracedHttpRequest {
  readonly method: string
  /** The pattern, not the path: paths may hold ids. */
  readonly route: string
  readonly scheme: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** From an HTTP request to the end of its answer. */
export function httpSpan(tracing: Tracing, { method, route, scheme, headers }: TracedHttpRequest): Span {
  const parent = originOf(headers)
  if (!tracing.enabled) return carried(parent)
  return tracing.start(`${method} ${route}`, {
    kind: 'server',
    parent,
    attributes: { 'http.request.method': method, 'http.route': route, 'url.scheme': scheme },
  })
}

/** `complete`: the answer went out whole. */
export function endHttp(span: Span, status: number, complete: boolean): void {
  span.set({ 'http.response.status_code': status })
  // Semantic conventions for HTTP spans, Status: of a server, what the client did wrong is no error.
  if (status >= 500) span.fail(String(status), true)
  else if (!complete) span.fail('aborted', false)
  span.end()
}

/** What a channel does with a message of its platform. */
export function receiveSpan(tracing: Tracing, connector: string, channel: string, message: Traced): Span {
  const parent = originOf(message)
  if (!tracing.enabled) return carried(parent)
  return tracing.start('channel.receive', {
    kind: 'consumer',
    parent,
    attributes: {
      'messaging.system': connector,
      'messaging.operation.type': 'receive',
      'lurkbot.channel': channel,
    },
  })
}

/** Until an event is on disk: what its runs are below. */
export function acceptSpan(
  tracing: Tracing,
  event: Pick<InboundEvent, 'id' | 'runId' | 'type' | 'source' | 'sessionKey' | 'priority'>,
  origin: Traced,
): Span {
  const parent = originOf(origin)
  if (!tracing.enabled) return carried(parent)
  return tracing.start('event.accept', {
    kind: 'producer',
    parent,
    attributes: {
      ...SYSTEM,
      'messaging.operation.type': 'send',
      'messaging.destination.name': event.sessionKey,
      'messaging.message.id': event.id,
      'lurkbot.session.key': event.sessionKey,
      'lurkbot.run.id': event.runId,
      'lurkbot.event.type': event.type,
      'lurkbot.event.source': event.source,
      'lurkbot.event.priority': event.priority,
    },
  })
}

export interface TracedRun {
  /** All that the run handles, its own event first. */
  readonly events: readonly InboundEvent[]
  readonly agent: string
  readonly type: string
  readonly attempt: number
  /** How long the event waited in its lane before this try. */
  readonly waitMs: number
}

/** One try of a run. */
export function runSpan(tracing: Tracing, { events, agent, type, attempt, waitMs }: TracedRun): Span {
  const [event, ...others] = events
  const parent = traceOf(event!)
  if (!tracing.enabled) return carried(parent)
  return tracing.start('agent.run', {
    kind: 'consumer',
    parent,
    links: others.map(traceOf).filter((trace) => trace !== null),
    attributes: {
      ...SYSTEM,
      'messaging.operation.type': 'process',
      'messaging.destination.name': event!.sessionKey,
      'messaging.message.id': event!.id,
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.name': agent,
      'lurkbot.session.key': event!.sessionKey,
      'lurkbot.run.id': event!.runId,
      'lurkbot.agent.type': type,
      'lurkbot.run.attempt': attempt,
      'lurkbot.lane.wait_ms': waitMs,
    },
  })
}

/** What a tool was asked and answered is not of the trace. */
export function toolEvent(span: Span, { callId, status }: ToolCall): void {
  if (span !== NO_SPAN)
    span.event('gen_ai.tool', { 'gen_ai.tool.call.id': callId, 'lurkbot.tool.status': status })
}

export function endRun(span: Span, ended: Ended): void {
  span.set({ 'lurkbot.run.outcome': ended.status })
  if (ended.status === 'failed') failWith(span, ended.error.code)
}

export interface TracedDelivery extends Traced {
  readonly id: string
  readonly channel: string
  readonly sessionKey: string
  readonly content: { readonly runId?: string }
}

/** One try of a delivery. */
export function deliverySpan(tracing: Tracing, delivery: TracedDelivery): Span {
  const parent = traceOf(delivery)
  if (!tracing.enabled) return carried(parent)
  const { id, channel, sessionKey, content } = delivery
  return tracing.start('delivery.send', {
    kind: 'producer',
    parent,
    attributes: {
      ...SYSTEM,
      'messaging.operation.type': 'send',
      'messaging.destination.name': sessionKey,
      'messaging.message.id': id,
      'lurkbot.session.key': sessionKey,
      'lurkbot.run.id': content.runId,
      'lurkbot.channel': channel,
    },
  })
}

/** Does the work as that of the span, and ends it. */
export async function during<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await span.within(work)
  } catch (error) {
    fail(span, error)
    throw error
  } finally {
    span.end()
  }
}

/** Of an error only its code: messages may quote what was said. */
export function fail(span: Span, error: unknown): void {
  failWith(span, error instanceof GatewayError ? error.code : 'INTERNAL_ERROR')
}

export function failWith(span: Span, code: ErrorCode): void {
  span.fail(code, ERROR_CODES[code].status >= 500)
}
