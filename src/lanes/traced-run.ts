import { endRun, fail, runSpan } from '../tracing/spans.js'
import { CARRYING, NO_SPAN, type Span, type Tracing } from '../tracing/tracing.js'
import type { Ended } from './ended.js'
import { eventsOf, type QueuedEvent } from './queued-event.js'

/** Does a try of a run as a span of its trace; what comes of the run belongs to that. */
export function tracedRun(
  tracing: Tracing = CARRYING,
  task: QueuedEvent,
  type: string,
  work: (span: Span) => Promise<Ended>,
): Promise<Ended> {
  const isTraced = tracing.enabled || task.event.traceparent !== undefined
  return isTraced ? traced(tracing, task, type, work) : work(NO_SPAN)
}

async function traced(
  tracing: Tracing,
  task: QueuedEvent,
  type: string,
  work: (span: Span) => Promise<Ended>,
): Promise<Ended> {
  const { event, agent, attempt, startedAt } = task
  const waitMs = Math.max(0, startedAt - event.at)
  const span = runSpan(tracing, { events: eventsOf(task), agent, type, attempt, waitMs })
  task.trace = span.trace
  try {
    const ended = await work(span)
    endRun(span, ended)
    return ended
  } catch (error) {
    fail(span, error)
    throw error
  } finally {
    span.end()
  }
}
