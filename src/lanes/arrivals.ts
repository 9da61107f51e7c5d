import type { Broadcaster } from '../events/broadcaster.js'
import type { Journal } from '../journal/journal.js'
import type { Log } from '../log.js'
import { EVENTS, type QueueMode } from '../protocol/index.js'
import type { Router } from '../sessions/routing.js'
import type { Sessions } from '../sessions/sessions.js'
import type { LaneDispatcher } from './dispatcher.js'
import type { Lane } from './lane.js'
import { type CollectLimits, newestMessage, nextMessage } from './modes.js'
import type { AbortCause, QueuedEvent } from './queued-event.js'

export interface ArrivalsOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly router: Router
  readonly broadcaster: Broadcaster
  readonly log: Log
  readonly collect: CollectLimits
}

/** What ends runs and events. */
interface Aborter {
  abortCurrent(lane: Lane<QueuedEvent>, cause: AbortCause): Promise<void>
  abortWaiting(task: QueuedEvent, lane: Lane<QueuedEvent>, cause: AbortCause): Promise<void>
}

/** What a message does to a lane that is at work, as the queue mode says (spec §3.6); what waits its turn is `turnOf`'s. */
export class Arrivals {
  readonly #options: ArrivalsOptions
  readonly #aborter: Aborter
  #dispatcher!: LaneDispatcher<QueuedEvent>

  constructor(options: ArrivalsOptions, aborter: Aborter) {
    this.#options = options
    this.#aborter = aborter
  }

  attach(dispatcher: LaneDispatcher<QueuedEvent>): void {
    this.#dispatcher = dispatcher
  }

  arrived(lane: Lane<QueuedEvent>): void {
    if (lane.waiting === 0 || (lane.running === null && lane.heldFor === null)) return
    const { sessions, router, log } = this.#options
    const record = sessions.cached(lane.key)
    if (record !== undefined) {
      this.#apply(lane, router.queueMode(lane.key, record))
      return
    }
    sessions.find(lane.key).then(
      (found) => this.#apply(lane, router.queueMode(lane.key, found)),
      // What waits is handled as a followup then.
      (error: unknown) => log.warn({ err: error, sessionKey: lane.key }, 'queue mode unknown'),
    )
  }

  #apply(lane: Lane<QueuedEvent>, mode: QueueMode): void {
    const { running, heldFor } = lane
    if (heldFor !== null) {
      // It waits for its agent, whatever comes behind it.
      if (heldFor.gate !== null && lane.head === heldFor) return
      // Weighed anew: enough may wait, or something more urgent.
      if (lane.head !== heldFor || lane.waiting >= this.#options.collect.maxMessages || mode !== 'collect') {
        this.#dispatcher.unhold(lane)
      }
    } else if (running !== null) {
      if (mode === 'interrupt') this.#interrupt(lane, running)
      else if (mode === 'steer') this.#steer(lane, running)
    }
  }

  /** Of the messages only the newest is to be handled. */
  #interrupt(lane: Lane<QueuedEvent>, running: QueuedEvent): void {
    const newest = newestMessage(lane)
    // One of a lower priority may have waited since before the running one came.
    if (newest === null || (running.isMessage && running.event.seq > newest.event.seq)) return
    const cause: AbortCause = { kind: 'interrupted', by: newest.event.runId }
    const older = this.#dispatcher.remove(lane, (task) => task.isMessage && task !== newest)
    const ends = older.map((task) => this.#aborter.abortWaiting(task, lane, cause))
    // What no person asked for is not stopped by what a person says.
    if (running.isMessage) ends.push(this.#aborter.abortCurrent(lane, cause))
    for (const end of ends) {
      end.catch((error: unknown) => this.#options.log.error({ err: error }, 'interrupt failed unexpectedly'))
    }
  }

  /** The running agent gets the waiting messages, in order, as long as it takes them. */
  #steer(lane: Lane<QueuedEvent>, running: QueuedEvent): void {
    for (;;) {
      const next = nextMessage(lane)
      if (next === null || running.steer === null || running.abortCause !== null) return
      if (!running.steer(next.event)) return
      this.#dispatcher.remove(lane, (task) => task === next)
      running.others = [...running.others, next]
      this.#options.journal.begun([next.event.id])
      this.#announce(next, running)
    }
  }

  #announce({ event }: QueuedEvent, running: QueuedEvent): void {
    const { id: eventId, runId, sessionKey } = event
    const payload = JSON.stringify({
      runId,
      eventId,
      agent: running.agent,
      mergedInto: running.event.runId,
    })
    this.#options.broadcaster.broadcast({
      event: EVENTS.agentSteered.name,
      sessionKey,
      at: Date.now(),
      payload,
      seq: 0,
    })
  }
}
