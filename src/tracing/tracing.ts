import type { TraceContext } from './trace-context.js'

export type AttributeValue = string | number | boolean
/** What is undefined is left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

/** A piece of work that is part of a trace. */
export interface Span {
  /** What those who come after it are told. Null: there is no trace. */
  readonly trace: TraceContext | null
  /** Does the work as that of this span: what libraries trace in it is below the span. */
  within<T>(work: () => T): T
  set(attributes: Attributes): void
  event(name: string, attributes: Attributes): void
  /** It ended otherwise than wanted; `isFault`: by a fault of this side. */
  fail(type: string, isFault: boolean): void
  /** Calling it twice is fine: the first stands. */
  end(): void
}

export type SpanKind = 'server' | 'producer' | 'consumer'

export interface SpanOptions {
  readonly kind: SpanKind
  /** Null: a trace begins here. */
  readonly parent: TraceContext | null
  readonly attributes: Attributes
  /** Others that it belongs to as well. */
  readonly links?: readonly TraceContext[]
}

/** Makes spans where the operator has an OpenTelemetry SDK; otherwise carries on what trace contexts come. */
export interface Tracing {
  /** Whether spans are made. */
  readonly enabled: boolean
  start(name: string, options: SpanOptions): Span
  /** Hands over what spans are kept for a batch. */
  flush(): Promise<void>
}

/** No span: what came is what goes on. */
class CarriedSpan implements Span {
  readonly trace: TraceContext | null

  constructor(trace: TraceContext | null) {
    this.trace = trace
  }

  within<T>(work: () => T): T {
    return work()
  }

  set(): void {}

  event(): void {}

  fail(): void {}

  end(): void {}
}

/** Of what belongs to no trace: one for all. */
export const NO_SPAN: Span = new CarriedSpan(null)

/** Stands for a span where none are made. */
export function carried(trace: TraceContext | null): Span {
  return trace === null ? NO_SPAN : new CarriedSpan(trace)
}

/** Without an SDK. */
export const CARRYING: Tracing = {
  enabled: false,
  start: (_name, { parent }) => carried(parent),
  flush: async () => {},
}

/** Where the copies of @opentelemetry/api that a process has find each other, and what SDKs have registered with them. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1')

/**
 * For this process. An SDK registers before the gateway starts (`node --import`). Asked here rather than of the API, which says
 * of its tracers alone that there are some, whether anything comes of them or not.
 */
export async function loadTracing(): Promise<Tracing> {
  const registered = (globalThis as { [REGISTERED]?: { trace?: unknown } })[REGISTERED]
  if (registered?.trace === undefined) return CARRYING
  const { OtelTracing } = await import('./otel.js')
  return new OtelTracing()
}
