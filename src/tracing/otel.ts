import * as otel from '@opentelemetry/api'
import { VERSION } from '../version.js'
import { formatTraceparent, idsOfTrace, type TraceContext } from './trace-context.js'
import type { Attributes, Span, SpanKind, SpanOptions, Tracing } from './tracing.js'

const KINDS: Readonly<Record<SpanKind, otel.SpanKind>> = {
  server: otel.SpanKind.SERVER,
  producer: otel.SpanKind.PRODUCER,
  consumer: otel.SpanKind.CONSUMER,
}

/** Spans by whatever SDK is registered. This file alone loads @opentelemetry/api. */
export class OtelTracing implements Tracing {
  readonly enabled = true
  readonly #tracer = otel.trace.getTracer('lurkbot-gateway', VERSION)

  start(name: string, { kind, parent, attributes, links }: SpanOptions): Span {
    // Never below whatever happens to be active: a lane or a timer is at work for many traces.
    const base =
      parent === null
        ? otel.ROOT_CONTEXT
        : otel.trace.setSpanContext(otel.ROOT_CONTEXT, spanContextOf(parent))
    const options = {
      kind: KINDS[kind],
      attributes,
      links: links?.map((trace) => ({ context: spanContextOf(trace) })),
    }
    return new OtelSpan(this.#tracer.startSpan(name, options, base), base)
  }

  /** The API has no such thing, but every provider that keeps spans back does. */
  async flush(): Promise<void> {
    const provider: unknown = otel.trace.getTracerProvider()
    const delegate = provider instanceof otel.ProxyTracerProvider ? provider.getDelegate() : provider
    await (delegate as { forceFlush?: () => Promise<void> }).forceFlush?.()
  }
}

class OtelSpan implements Span {
  readonly trace: TraceContext | null
  readonly #span: otel.Span
  readonly #context: otel.Context

  constructor(span: otel.Span, base: otel.Context) {
    this.#span = span
    this.#context = otel.trace.setSpan(base, span)
    this.trace = traceOfSpan(span)
  }

  within<T>(work: () => T): T {
    return otel.context.with(this.#context, work)
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes)
  }

  event(name: string, attributes: Attributes): void {
    this.#span.addEvent(name, attributes)
  }

  fail(type: string, isFault: boolean): void {
    if (!this.#span.isRecording()) return
    this.#span.setAttribute('error.type', type)
    if (isFault) this.#span.setStatus({ code: otel.SpanStatusCode.ERROR })
  }

  end(): void {
    if (this.#span.isRecording()) this.#span.end()
  }
}

function spanContextOf(trace: TraceContext): otel.SpanContext {
  const { traceId, spanId, flags } = idsOfTrace(trace)
  const { tracestate } = trace
  return {
    traceId,
    spanId,
    traceFlags: flags,
    isRemote: true,
    traceState: tracestate === undefined ? undefined : otel.createTraceState(tracestate),
  }
}

function traceOfSpan(span: otel.Span): TraceContext | null {
  const { traceId, spanId, traceFlags: flags, traceState } = span.spanContext()
  if (!otel.isSpanContextValid({ traceId, spanId, traceFlags: flags })) return null
  const traceparent = formatTraceparent({ traceId, spanId, flags })
  const tracestate = traceState?.serialize()
  return tracestate ? { traceparent, tracestate } : { traceparent }
}
