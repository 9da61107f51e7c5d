import { newDeliveryId, newEventIds } from '../journal/ids.js'
import type { AppendRequest, CompleteRequest, Entry, Journal, SessionRecord } from '../journal/journal.js'
import type { NewDelivery } from '../journal/outbox.js'
import type { ErrorShape } from '../protocol/index.js'
import type { JournalTest } from './journal-suite.js'

/** A record of a session as it is when it begins. */
export const sampleSession = (key: string, overrides: Partial<SessionRecord> = {}): SessionRecord => ({
  key,
  channel: key.split(':')[0] ?? key,
  title: null,
  agent: null,
  metadata: {},
  paused: false,
  queueMode: null,
  createdAt: 1_000,
  updatedAt: 1_000,
  resetSeq: 0,
  ...overrides,
})

export const sampleEntry = (event: string, sessionKey: string | null, text: string, at = 1_000): Entry => ({
  event,
  sessionKey,
  at,
  payload: JSON.stringify({ content: text }),
})

export const sampleMessage = (sessionKey: string, text: string, at = 1_000): Entry =>
  sampleEntry('session.message', sessionKey, text, at)

/** A person's message that is to be appended. */
export function sampleAppend(
  sessionKey: string,
  text: string,
  overrides: Partial<AppendRequest['event']> & Pick<AppendRequest, 'create' | 'digest'> = {},
): AppendRequest {
  const { create, digest, ...event } = overrides
  const { eventId, runId } = newEventIds()
  const at = event.at ?? 1_000
  return {
    event: {
      id: eventId,
      runId,
      type: 'message.received',
      source: 'ws',
      sessionKey,
      at,
      payload: { content: text },
      priority: 'chat',
      ...event,
    },
    entries: [sampleMessage(sessionKey, text, at)],
    create,
    digest,
  }
}

/** A text to be said. */
export const sampleDelivery = (text: string, overrides: Partial<NewDelivery> = {}): NewDelivery => ({
  id: newDeliveryId(),
  channel: 'chat',
  peer: '1',
  thread: null,
  sessionKey: 'chat:1:main',
  at: 1_000,
  content: { text },
  ...overrides,
})

/** A W3C trace context. */
export const sampleTrace = {
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
}

export const sampleError: ErrorShape = {
  code: 'INTERNAL_ERROR',
  message: 'It did not work.',
  details: { tries: 3 },
  retryable: false,
}

/** Ends events with what is given; the lease is taken here, so that it is the newest. */
export async function completeEvents(
  journal: Journal,
  sessionKey: string,
  eventIds: readonly string[],
  outcome: Partial<Omit<CompleteRequest, 'eventIds'>> = {},
): Promise<boolean> {
  const lease = outcome.lease ?? (await journal.lease(sessionKey))
  const defaults = { status: 'completed', error: null, attempts: 1, entries: [] } as const
  return journal.complete({ ...defaults, ...outcome, lease, eventIds })
}

/** The same journal; opened anew where it is durable, so that what it says was stored. */
export const again = async ({ journal, harness, reopen }: JournalTest): Promise<Journal> =>
  harness.durable ? reopen() : journal
