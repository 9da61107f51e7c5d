import { sessionKeyOf, targetOf } from '../connectors/address.js'
import type { Target } from '../connectors/connector.js'
import { newDeliveryId } from '../journal/ids.js'
import type { NewDelivery } from '../journal/outbox.js'
import { type CronOrigin, cronOrigin, type InboundEvent } from '../protocol/index.js'
import { type TraceContext, traceOf } from '../tracing/trace-context.js'
import type { Ended } from './ended.js'
import { eventsOf, type QueuedEvent } from './queued-event.js'

export interface AnswerOptions {
  /** Whether there is a channel of that name. */
  readonly isChannel: (name: string) => boolean
  /** What is said of a run that failed for good; `{code}` is replaced. Empty: nothing. */
  readonly failureText: string
}

const NONE: readonly NewDelivery[] = []

/** What the channel that a run's events came from is told of its end: nothing where they came from elsewhere, or were stopped. */
export function answersOf(task: QueuedEvent, ended: Ended, options: AnswerOptions): readonly NewDelivery[] {
  const { isChannel, failureText } = options
  const job = cronOrigin(task.event)
  if (job !== null) return scheduledAnswer(task, ended, job, isChannel)
  const events = eventsOf(task)
  if (!events.some(({ source }) => isChannel(source))) return NONE
  const { sessionKey, runId } = task.event
  const origin = originOf(events, isChannel)
  const text = textOf(ended, failureText)
  if (origin === null || text.trim() === '') return NONE
  const { target, replyTo } = origin
  const content = replyTo === undefined ? { text, runId } : { text, runId, replyTo }
  return [{ id: newDeliveryId(), ...target, sessionKey, at: Date.now(), content, ...traceOfRun(task) }]
}

/** What a scheduled job says where it is to: nobody waits there for an answer, so that of a failure nothing is said. */
function scheduledAnswer(
  task: QueuedEvent,
  ended: Ended,
  { deliver }: CronOrigin,
  isChannel: AnswerOptions['isChannel'],
): readonly NewDelivery[] {
  const { runId } = task.event
  const text = textOf(ended, '')
  if (deliver === undefined || !isChannel(deliver.channel) || text.trim() === '') return NONE
  const sessionKey = sessionKeyOf(deliver.channel, deliver)
  const content = { text, runId }
  return [{ id: newDeliveryId(), ...deliver, sessionKey, at: Date.now(), content, ...traceOfRun(task) }]
}

/** An event that was never tried has its own alone. */
function traceOfRun({ trace, event }: QueuedEvent): TraceContext | null {
  return trace ?? traceOf(event)
}

/** The conversation of a channel that a run's events came from. */
export interface RunOrigin {
  readonly target: Target & { readonly channel: string }
  /** The platform's id of the last message of it, where it has one. */
  readonly replyTo: string | undefined
}

/** Null: they came from elsewhere. */
export function originOf(
  events: readonly InboundEvent[],
  isChannel: (name: string) => boolean,
): RunOrigin | null {
  const target = targetOf(events[0]!.sessionKey)
  if (target === null || !isChannel(target.channel)) return null
  const asked = events.findLast(({ source }) => source === target.channel)
  return asked === undefined ? null : { target, replyTo: messageIdOf(asked) }
}

function textOf(ended: Ended, failureText: string): string {
  switch (ended.status) {
    case 'completed':
      return ended.content
    case 'failed':
      return failureText === 'off' ? '' : failureText.replaceAll('{code}', ended.error.code)
    case 'aborted':
      return ''
  }
}

/** The platform's id of the message that the event was, where it has one. */
function messageIdOf({ payload }: InboundEvent): string | undefined {
  const { origin } = payload
  if (typeof origin !== 'object' || origin === null || !('messageId' in origin)) return undefined
  return typeof origin.messageId === 'string' ? origin.messageId : undefined
}
