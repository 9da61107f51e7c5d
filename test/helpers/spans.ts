import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import type { Test } from 'tap'
import { until } from './until.js'

/** Spans that have ended, of an SDK as an operator registers one; to be called before the app is built. */
export function recordSpans(t: Test) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  t.teardown(async () => {
    trace.disable()
    context.disable()
    await provider.shutdown()
  })
  const all = () => exporter.getFinishedSpans()
  const named = (name: string) => all().filter((span) => span.name === name)
  return {
    all,
    named,
    /** The first `count` of that name; waits for them. */
    async ended(name: string, count = 1): Promise<ReadableSpan[]> {
      await until(() => named(name).length >= count)
      return named(name)
    },
  }
}

/** As it is handed on. */
export function traceparentOf(span: ReadableSpan): string {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-0${traceFlags}`
}
