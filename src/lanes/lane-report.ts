import type { Static } from '@sinclair/typebox'
import { suffixOfEvent } from '../journal/ids.js'
import type { LaneState, lanesGet, lanesList, ResultOf } from '../protocol/index.js'
import { decodeCursor, encodeCursor, invalidCursor } from '../sessions/cursor.js'
import type { Lane } from './lane.js'
import type { QueuedEvent } from './queued-event.js'

export type LaneReport = Static<typeof LaneState>
export type LanePage = ResultOf<typeof lanesList>
export type WaitingPage = Pick<ResultOf<typeof lanesGet>, 'events' | 'nextCursor'>

export interface PageOptions {
  readonly limit: number
  readonly cursor?: string
}

export interface LaneQuery extends PageOptions {
  readonly channel?: string
  readonly running?: boolean
  readonly paused?: boolean
}

export function fits(lane: Lane<QueuedEvent>, { channel, running, paused }: LaneQuery): boolean {
  return (
    (channel === undefined || lane.key === channel || lane.key.startsWith(`${channel}:`)) &&
    (running === undefined || running === (lane.running !== null)) &&
    (paused === undefined || paused === lane.paused)
  )
}

/** When the longest waiting event came; null: none waits. Milliseconds since 1970. */
export function oldestAt(lane: Lane<QueuedEvent>): number | null {
  let oldest: number | null = null
  // Not that of the head alone: a more urgent event may have come later.
  for (const { event } of lane) oldest = Math.min(event.at, oldest ?? event.at)
  return oldest
}

export function describe(lane: Lane<QueuedEvent>): LaneReport {
  const { running } = lane
  return {
    sessionKey: lane.key,
    waiting: lane.waiting,
    paused: lane.paused,
    oldestAt: oldestAt(lane),
    running:
      running === null
        ? null
        : {
            runId: running.event.runId,
            eventId: running.event.id,
            agent: running.agent,
            attempt: running.attempt,
            startedAt: running.startedAt,
          },
  }
}

/** A page of lanes, longest waiting first. What has changed its place meanwhile may come twice. */
export function listLanes(reports: LaneReport[], { limit, cursor }: PageOptions): LanePage {
  const after = cursor === undefined ? null : positionOf(cursor)
  const rest = reports
    .map((lane) => ({ lane, at: since(lane), key: lane.sessionKey }))
    .filter((it) => after === null || compare(it, after) > 0)
    .sort(compare)
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return {
    lanes: page.map(({ lane }) => lane),
    total: reports.length,
    nextCursor:
      rest.length > limit && last !== undefined ? encodeCursor({ updatedAt: last.at, key: last.key }) : null,
  }
}

interface Position {
  readonly at: number
  readonly key: string
}

function compare(a: Position, b: Position): number {
  return a.at - b.at || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}

function positionOf(cursor: string): Position {
  const { updatedAt, key } = decodeCursor(cursor)
  return { at: updatedAt, key }
}

function since({ oldestAt, running }: LaneReport): number {
  return oldestAt ?? running?.startedAt ?? Number.MAX_SAFE_INTEGER
}

/**
 * A page of what waits in a lane, in the order in which it will run. The cursor is the event before the page: where that waits no
 * more, what was before it does not either, and the page begins at the head. @throws `INVALID_REQUEST` for a cursor that is none.
 */
export function listWaiting(
  lane: Lane<QueuedEvent> | undefined,
  { limit, cursor }: PageOptions,
): WaitingPage {
  if (cursor !== undefined && suffixOfEvent(cursor) === null) throw invalidCursor()
  const waiting = lane === undefined ? [] : [...lane]
  const start = waiting.findIndex(({ event }) => event.id === cursor) + 1
  const page = waiting.slice(start, start + limit)
  return {
    events: page.map(({ event: { id, runId, type, source, at, priority } }, index) => {
      return { id, runId, type, source, at, priority, position: start + index + 1 }
    }),
    nextCursor: waiting.length > start + limit ? page[page.length - 1]!.event.id : null,
  }
}
