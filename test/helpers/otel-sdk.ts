/** An operator's SDK, for `node --import`: appends each span to the file `OTEL_TEST_FILE` as a line of JSON. */
import { appendFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

export interface SpanLine {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parent: string | null
  readonly attributes: Record<string, unknown>
}

const { OTEL_TEST_FILE: file } = process.env

function lineOf(span: ReadableSpan): SpanLine {
  const { name, attributes, parentSpanContext } = span
  const { traceId, spanId } = span.spanContext()
  return { name, traceId, spanId, parent: parentSpanContext?.spanId ?? null, attributes }
}

if (isMainThread && file !== undefined) {
  const exporter = {
    export: (spans: ReadableSpan[], done: (result: { code: number }) => void) => {
      for (const span of spans) appendFileSync(file, `${JSON.stringify(lineOf(span))}\n`)
      done({ code: 0 })
    },
    shutdown: async () => {},
  }
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  )
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
}
