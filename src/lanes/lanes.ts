import type { Static } from '@sinclair/typebox'
import type { Journal } from '../journal/journal.js'
import { GatewayError, type InboundEvent, type LaneState } from '../protocol/index.js'
import type { LaneDispatcher } from './dispatcher.js'
import type { Lane } from './lane.js'
import type { Outcomes } from './outcomes.js'
import { QueuedEvent } from './queued-event.js'
import type { Runner } from './runner.js'

export type LaneReport = Static<typeof LaneState>

export interface LanesOptions {
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly runner: Runner
  readonly journal: Journal
  readonly outcomes: Outcomes
}

/** What operators and clients do with lanes: look, abort, recover after a start, drain before a stop. */
export class Lanes {
  readonly dispatcher: LaneDispatcher<QueuedEvent>
  readonly #runner: Runner
  readonly #journal: Journal
  readonly #outcomes: Outcomes

  constructor(options: LanesOptions) {
    this.dispatcher = options.dispatcher
    this.#runner = options.runner
    this.#journal = options.journal
    this.#outcomes = options.outcomes
  }

  /** Queues everything that was accepted and not handled before the process ended, in order. Returns how many. */
  async recover(): Promise<number> {
    for (const key of await this.#journal.pausedSessions()) this.dispatcher.pause(key)
    const pending = await this.#journal.pending()
    for (const event of pending) this.restore(event)
    return pending.length
  }

  /** Queues an event that the journal holds as waiting. Returns how many are ahead of it. */
  restore(event: InboundEvent): number {
    const task = new QueuedEvent(event, JSON.stringify(event.payload).length)
    const ahead = this.dispatcher.lane(event.sessionKey)?.ahead(task.rank) ?? 0
    this.dispatcher.restore(event.sessionKey, task)
    return ahead
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

  /** The lanes that `accept` lets through, longest waiting first. */
  list(limit: number, accept: (key: string) => boolean): { lanes: LaneReport[]; total: number } {
    const lanes = [...this.dispatcher.lanes()].filter((lane) => accept(lane.key))
    const reports = lanes.map(describe).sort((a, b) => since(a) - since(b))
    return { lanes: reports.slice(0, limit), total: reports.length }
  }

  /** Stops one run, running or waiting; resolves once that is in the journal. False: it had already ended. @throws `NOT_FOUND`. */
  async abortRun(
    runId: string,
    reason: string,
    mayWrite: (sessionKey: string) => boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const outcome = await this.#journal.outcome(runId)
    if (outcome === null || !mayWrite(outcome.sessionKey)) {
      throw new GatewayError('NOT_FOUND', 'There is no such run.', { details: { runId } })
    }
    if (outcome.status !== 'pending') return false
    return (
      (await this.#abort(outcome.sessionKey, reason, (task) => task.event.runId === runId, signal)).length > 0
    )
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
    const current = lane.running !== null && predicate(lane.running) ? lane.running : null
    const waiting = this.dispatcher.remove(key, predicate)
    const ends = waiting.map((task) => this.#runner.abortWaiting(task, reason))
    if (current !== null) {
      ends.push(this.#runner.abortCurrent(lane, reason))
      ends.push(this.#outcomes.wait(current.event.runId, signal, () => true).then(() => {}))
    }
    await Promise.all(ends)
    return [...(current === null ? [] : [current]), ...waiting].map((task) => task.event.runId)
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

function describe(lane: Lane<QueuedEvent>): LaneReport {
  const { running, head } = lane
  return {
    sessionKey: lane.key,
    waiting: lane.waiting,
    paused: lane.paused,
    oldestAt: head?.event.at ?? null,
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

function since(report: LaneReport): number {
  return report.oldestAt ?? report.running?.startedAt ?? Number.MAX_SAFE_INTEGER
}

/** Whether the promise resolved within `timeoutMs`. */
async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
