import type { Gate, Verdict } from '../agents/gate.js'
import type { ErrorCode } from '../protocol/index.js'
import type { LaneDispatcher } from './dispatcher.js'
import type { Ended } from './ended.js'
import type { Lane } from './lane.js'
import type { QueuedEvent } from './queued-event.js'

/** What speaks of the backend, not of the request. */
const DOWN: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL_ERROR'])

/** Lets events wait for an agent that does not take them yet: their lanes stand still and hold no place of the dispatcher's. */
export class Gating {
  readonly #dispatcher: LaneDispatcher<QueuedEvent>

  constructor(dispatcher: LaneDispatcher<QueuedEvent>) {
    this.#dispatcher = dispatcher
  }

  /** Whether the event at the head of a lane may begin now; otherwise it waits, and nothing of that counts. */
  mayEnter(task: QueuedEvent, lane: Lane<QueuedEvent>, gate: Gate | undefined): boolean {
    if (task.gate !== null && (task.gate !== gate || task.abortCause !== null)) task.leaveGate()
    if (gate === undefined || task.abortCause !== null) return true
    if (gate.admits(task)) {
      task.gate = null
      return true
    }
    this.wait(task, lane, gate)
    return false
  }

  wait(task: QueuedEvent, lane: Lane<QueuedEvent>, gate: Gate): void {
    task.gate = gate
    // As long as nothing of it has begun, what comes meanwhile may go before it or join it.
    if (task.attempt === 0 && task.others.length === 0) this.#dispatcher.hold(lane)
    else this.#dispatcher.park(lane)
    gate.wait(task, task.sender?.name ?? '', {
      wake: () => {
        if (lane.heldFor === task) this.#dispatcher.unhold(lane)
        else if (lane.running === task) this.#dispatcher.unpark(lane)
        return lane.ready || lane.running === task
      },
      get coming() {
        return lane.ready || (lane.running === task && lane.state !== 'parked')
      },
    })
  }

  /** Runs something behind the gate, which hears what its end says of the backend. */
  async run(gate: Gate, attempt: () => Promise<Ended>): Promise<Ended> {
    const pass = gate.enter()
    let verdict: Verdict = 'unknown'
    try {
      const ended = await attempt()
      verdict = verdictOf(ended)
      return ended
    } finally {
      gate.leave(pass, verdict)
    }
  }

  /** Whether a failure is the backend's alone, which is known to be out of order: no try of the event, unless that is old. */
  excuses(task: QueuedEvent, ended: Ended, gate: Gate | undefined): boolean {
    const breaker = gate?.breaker ?? null
    if (breaker === null || breaker.state === 'closed' || verdictOf(ended) !== 'down') return false
    return Date.now() - task.event.at < breaker.limits.maxWaitMs
  }
}

function verdictOf(ended: Ended): Verdict {
  if (ended.status === 'aborted') return 'unknown'
  if (ended.status === 'completed') return 'up'
  const { code } = ended.error
  return code === 'AGENT_TIMEOUT' || (ended.retryable && DOWN.has(code)) ? 'down' : 'up'
}
