/**
 * Prints the gateway's spans:
 *
 *     npm install @opentelemetry/api @opentelemetry/sdk-trace-base @opentelemetry/context-async-hooks
 *     NODE_OPTIONS="--import ./otel.mjs" lurkbot gateway start
 *
 * To send them somewhere instead, put an exporter such as that of @opentelemetry/exporter-trace-otlp-http in the place of
 * ConsoleSpanExporter, or use @opentelemetry/sdk-node, which has one and reads the OTEL_… variables.
 */
import { isMainThread } from 'node:worker_threads'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, BatchSpanProcessor, ConsoleSpanExporter } from '@opentelemetry/sdk-trace-base'

// The journal writes in a thread of its own, which Node gives the same imports.
if (isMainThread) {
  const provider = new BasicTracerProvider({
    spanProcessors: [new BatchSpanProcessor(new ConsoleSpanExporter())],
  })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
}
