import { setTimeout as delay } from 'node:timers/promises'
import type { Hooks } from '../hooks/hooks.js'
import type { Journal, Lease } from '../journal/journal.js'
import type { NewDelivery } from '../journal/outbox.js'
import type { Log } from '../log.js'
import type { Sessions } from '../sessions/sessions.js'
import { tracedLog } from '../tracing/traced-log.js'
import { type AnswerOptions, answersOf } from './answers.js'
import { type Ended, outcomeEntries } from './ended.js'
import type { Lane } from './lane.js'
import type { Outcomes } from './outcomes.js'
import { eventsOf, idsOf, type QueuedEvent } from './queued-event.js'

export interface SettlementOptions extends AnswerOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly outcomes: Outcomes
  readonly hooks: Hooks
  readonly log: Log
  /** Told of deliveries that the journal holds. */
  readonly onDeliveries: (deliveries: readonly NewDelivery[]) => void
}

const BACKOFF_MS = 250
const MAX_BACKOFF_MS = 5_000

/** Writes how runs ended (spec §3.7): one commit each, tried until the disk takes it; only then is anyone told. */
export class Settlement {
  readonly #options: SettlementOptions
  readonly #stopping = new AbortController()

  constructor(options: SettlementOptions) {
    this.#options = options
  }

  /** No outcome is written any more. */
  close(): void {
    this.#stopping.abort()
  }

  get closed(): boolean {
    return this.#stopping.signal.aborted
  }

  /** False: the gateway stopped before the disk took it. */
  async write(task: QueuedEvent, lane: Lane<QueuedEvent>, ended: Ended): Promise<boolean> {
    const { journal, onDeliveries } = this.#options
    const log = tracedLog(this.#options.log, task.event)
    const deliveries = answersOf(task, ended, this.#options)
    const { id: eventId, runId } = task.event
    const request = {
      eventIds: idsOf(task),
      mergedInto: task.others.length === 0 ? null : runId,
      status: ended.status,
      error: ended.status === 'failed' ? ended.error : null,
      attempts: task.attempt,
      entries: outcomeEntries(task, ended),
      deliveries,
    }
    const { signal } = this.#stopping
    let backoffMs = BACKOFF_MS
    while (!signal.aborted) {
      try {
        const lease = await this.lease(lane)
        if (!(await journal.complete({ lease, ...request }))) {
          log.warn({ eventId }, 'outcome fenced off: the event was already ended')
        } else if (deliveries.length > 0) onDeliveries(deliveries)
        return true
      } catch (error) {
        log.warn({ err: error, eventId, retryInMs: backoffMs }, 'outcome could not be written yet')
        await delay(backoffMs, undefined, { signal }).catch(() => {})
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)
      }
    }
    return false
  }

  /** Those who wait and the hooks hear what the journal has. */
  tell(task: QueuedEvent, ended: Ended): void {
    const { outcomes, sessions, hooks } = this.#options
    const { event, agent } = task
    for (const { runId } of eventsOf(task)) outcomes.settled(runId)
    sessions.activityChanged()
    if (ended.status === 'completed') {
      hooks.emit({ name: 'agent:completed', event, agent, content: ended.content })
    } else if (ended.status === 'failed') {
      hooks.emit({ name: 'agent:failed', event, agent, code: ended.error.code })
    } else {
      hooks.emit({ name: 'agent:aborted', event, agent })
    }
  }

  /** The lane's right to its session, asked for once while there is work. */
  async lease(lane: Lane<QueuedEvent>): Promise<Lease> {
    lane.lease ??= this.#options.journal.lease(lane.key)
    try {
      return await lane.lease
    } catch (error) {
      lane.lease = null
      throw error
    }
  }
}
