import type { Journal } from '../journal/journal.js'
import { within } from '../lifecycle/within.js'
import { GatewayError, type InboundEvent } from '../protocol/index.js'
import type { Sessions } from '../sessions/sessions.js'
import type { LaneDispatcher } from './dispatcher.js'
import {
  describe,
  fits,
  type LanePage,
  type LaneQuery,
  type LaneReport,
  listLanes,
  listWaiting,
  type PageOptions,
  type WaitingPage,
} from './lane-report.js'
import type { Outcomes } from './outcomes.js'
import { type AbortCause, QueuedEvent } from './queued-event.js'
import type { Runner } from './runner.js'

export interface LanesOptions {
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly runner: Runner
  readonly journal: Journal
  readonly sessions: Sessions
  readonly outcomes: Outcomes
}

/** What operators and clients do with lanes: look, pause, abort, recover after a start, drain before a stop. */
export class Lanes {
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly #runner: Runner
  readonly #journal: Journal
  readonly #sessions: Sessions
  readonly #outcomes: Outcomes

  constructor(options: LanesOptions) {
    this.dispatcher = options.dispatcher
    this.#runner = options.runner
    this.#journal = options.journal
    this.#sessions = options.sessions
    this.#outcomes = options.outcomes
  }

  /** Queues everything that was accepted and not handled before the process ended, in order. Returns how many. */
  async recover(): Promise<number> {
    for (const key of await this.#journal.pausedSessions()) this.dispatcher.pause(key)
    const pending = await this.#journal.pending()
    this.dispatcher.restore(pending.map(({ event, crashes }) => [event.sessionKey, queued(event, crashes)]))
    return pending.length
  }

  /** Queues an event that the journal holds as waiting. Returns how many are ahead of it. */
  restore(event: InboundEvent): number {
    const task = queued(event)
    const ahead = this.dispatcher.lane(event.sessionKey)?.ahead(task.rank) ?? 0
    this.dispatcher.restore([[event.sessionKey, task]])
    return ahead
  }

  /** Nothing further starts in a session until `resume`, over restarts, too; what runs ends. @throws `NOT_FOUND`. */
  async pause(key: string): Promise<LaneReport> {
    await this.#sessions.setPaused(key, true)
    this.dispatcher.pause(key)
    return this.report(key)
  }

  /** @throws `NOT_FOUND`. */
  async resume(key: string): Promise<LaneReport> {
    await this.#sessions.setPaused(key, false)
    this.dispatcher.resume(key)
    return this.report(key)
  }

  isActive(key: string): boolean {
    const lane = this.dispatcher.lane(key)
    return lane !== undefined && (lane.running !== null || lane.waiting > 0 || lane.reserved > 0)
  }

  *activeKeys(): IterableIterator<string> {
    for (const lane of this.dispatcher.lanes()) if (this.isActive(lane.key)) yield lane.key
  }

  report(key: string): LaneReport {
    const lane = this.dispatcher.lane(key)
    return lane === undefined
      ? { sessionKey: key, waiting: 0, paused: false, oldestAt: null, running: null }
      : describe(lane)
  }

  /** The report of a session's lane with what waits in it. */
  inspect(key: string, page: PageOptions): LaneReport & WaitingPage {
    return { ...this.report(key), ...listWaiting(this.dispatcher.lane(key), page) }
  }

  /** The lanes that `accept` lets through, longest waiting first. */
  list(query: LaneQuery, accept: (key: string) => boolean): LanePage {
    const lanes = [...this.dispatcher.lanes()].filter((lane) => accept(lane.key) && fits(lane, query))
    return listLanes(lanes.map(describe), query)
  }

  /**
   * Stops one run, running or waiting. Resolves once that is in the journal: with its id, or with none where it ended
   * otherwise. @throws `NOT_FOUND`.
   */
  async abortRun(
    runId: string,
    reason: string,
    mayWrite: (sessionKey: string) => boolean,
    signal: AbortSignal,
  ): Promise<string[]> {
    const outcome = await this.#journal.outcome(runId)
    if (outcome === null || !mayWrite(outcome.sessionKey)) {
      throw new GatewayError('NOT_FOUND', 'There is no such run.', { details: { runId } })
    }
    if (outcome.status !== 'pending') return []
    return this.#abort(outcome.sessionKey, reason, (task) => task.event.runId === runId, signal)
  }

  /** Stops all that runs and waits in a session; resolves with the run ids once that is in the journal. */
  abortSession(key: string, reason: string, signal: AbortSignal): Promise<string[]> {
    return this.#abort(key, reason, () => true, signal)
  }

  async #abort(
    key: string,
    reason: string,
    predicate: (task: QueuedEvent) => boolean,
    signal: AbortSignal,
  ): Promise<string[]> {
    const lane = this.dispatcher.lane(key)
    if (lane === undefined) return []
    const cause: AbortCause = { kind: 'requested', reason }
    const { running } = lane
    const stops = running !== null && (predicate(running) || running.others.some(predicate))
    const current = stops ? [running, ...running.others] : []
    // What another is stopping is not stopped before that is in the journal, either.
    const ending = [...(lane.ending ?? [])].filter(predicate)
    const waiting = this.dispatcher.remove(lane, predicate)
    await Promise.all([
      ...(stops ? [this.#runner.abortCurrent(lane, cause)] : []),
      ...waiting.map((task) => this.#runner.abortWaiting(task, lane, cause)),
    ])
    // The journal has the last word: a run may have ended by itself in the meantime.
    const results = await Promise.all(
      [...current, ...waiting, ...ending].map(({ event }) =>
        this.#outcomes.wait(event.runId, signal, () => true),
      ),
    )
    return results.filter(({ status }) => status === 'aborted').map(({ runId }) => runId)
  }

  /**
   * Starts no further run and waits for the running ones: at most `timeoutMs`, then they are aborted. What has no outcome
   * stays in the journal and continues at the next start. Twice is fine.
   */
  async drain(timeoutMs: number, graceMs: number): Promise<void> {
    const idle = this.dispatcher.stop()
    if (!(await within(idle, timeoutMs))) {
      this.#runner.interrupt()
      await within(idle, graceMs)
    }
    this.#runner.close()
  }
}

function queued(event: InboundEvent, crashes = 0): QueuedEvent {
  return new QueuedEvent(event, JSON.stringify(event.payload).length, null, crashes)
}
