import type { InboundEvent, QueueMode } from '../protocol/index.js'
import type { Lane } from './lane.js'
import { eventsOf, type QueuedEvent } from './queued-event.js'

/** Bounds of the queue mode `collect`. */
export interface CollectLimits {
  readonly quietMs: number
  readonly maxMessages: number
  readonly maxWaitMs: number
}

export interface TurnLimits {
  readonly collect: CollectLimits
  /** Of an event during which the process died three times; doubles with each further death. */
  readonly crashBackoffMs: number
  readonly maxCrashBackoffMs: number
}

/** What is to become of the event whose turn it is. */
export type Turn =
  | { readonly act: 'run' }
  | { readonly act: 'wait'; readonly ms: number }
  | { readonly act: 'skip'; readonly newer: QueuedEvent }

/** An event that was being handled when the process died is tried again at once twice, then ever later. */
const PATIENT_CRASHES = 2

const RUN: Turn = { act: 'run' }

/** Decides at each turn anew, so that a restart, a pause or a change of mode needs no rule of its own. `now`: monotonic. */
export function turnOf(
  task: QueuedEvent,
  lane: Lane<QueuedEvent>,
  mode: QueueMode,
  limits: TurnLimits,
  now: number,
): Turn {
  const { collect } = limits
  const healingMs = task.arrivedAt + crashBackoffMs(task.crashes, limits) - now
  if (healingMs > 0) return { act: 'wait', ms: healingMs }
  if (!task.isMessage) return RUN
  if (mode === 'interrupt') {
    const newer = newestMessage(lane)
    if (newer !== null && newer.event.seq > task.event.seq) return { act: 'skip', newer }
  }
  if (mode === 'collect') {
    const following = collectable(task, lane, collect)
    if (following.length + 1 >= collect.maxMessages) return RUN
    const last = following.at(-1) ?? task
    const due = Math.min(last.arrivedAt + collect.quietMs, task.arrivedAt + collect.maxWaitMs)
    if (now < due) return { act: 'wait', ms: due - now }
  }
  return RUN
}

/** The messages right behind this one that its run takes along. */
export function collectable(
  task: QueuedEvent,
  lane: Lane<QueuedEvent>,
  { maxMessages }: CollectLimits,
): QueuedEvent[] {
  const following: QueuedEvent[] = []
  for (const next of lane) {
    if (following.length + 1 >= maxMessages || !next.isMessage || next.rank !== task.rank) break
    following.push(next)
  }
  return following
}

/** Of the waiting messages the one that was accepted last. */
export function newestMessage(lane: Lane<QueuedEvent>): QueuedEvent | null {
  let newest: QueuedEvent | null = null
  for (const task of lane) {
    if (task.isMessage && (newest === null || task.event.seq > newest.event.seq)) newest = task
  }
  return newest
}

/** Of the waiting messages the next one. */
export function nextMessage(lane: Lane<QueuedEvent>): QueuedEvent | null {
  for (const task of lane) if (task.isMessage) return task
  return null
}

/** What the agent of a run is given: its event, which says what all of its messages say. */
export function combined(task: QueuedEvent): InboundEvent {
  const { event } = task
  if (task.others.length === 0) return event
  const events = eventsOf(task)
  const attachments = events.flatMap(({ payload }) => payload.attachments ?? [])
  const content = events.map(({ payload }) => payload.content).join('\n\n')
  return {
    ...event,
    payload: { ...event.payload, content, ...(attachments.length === 0 ? {} : { attachments }) },
  }
}

function crashBackoffMs(crashes: number, limits: TurnLimits): number {
  if (crashes <= PATIENT_CRASHES) return 0
  return Math.min(limits.crashBackoffMs * 2 ** (crashes - PATIENT_CRASHES - 1), limits.maxCrashBackoffMs)
}
