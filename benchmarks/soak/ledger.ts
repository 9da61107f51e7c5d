const FINAL = new Set(['agent.completed', 'agent.failed', 'agent.aborted', 'agent.merged'])

/** What was acknowledged against what was seen to end: the promise, counted while everything else goes on. */
export class Ledger {
  acknowledged = 0
  ended = 0
  refused = 0
  reconnects = 0
  /** Finals of runs that had ended, and durable events out of order: there may be none. */
  readonly violations: string[] = []
  readonly acknowledgeMs: number[] = []
  readonly answerMs: number[] = []
  readonly #open = new Map<string, number>()
  /** Ended before their acknowledgement arrived. */
  readonly #early = new Set<string>()
  readonly #last = new Map<object, number>()

  sent(runId: string, startedAt: number): void {
    const now = performance.now()
    this.acknowledged++
    this.acknowledgeMs.push(now - startedAt)
    if (this.#early.delete(runId)) this.answerMs.push(now - startedAt)
    else this.#open.set(runId, startedAt)
  }

  /** `judge`: the one watcher whose finals count; every watcher's order does. */
  seen(
    watcher: object,
    frame: { event: string; seq?: number; payload: { runId: string } },
    judge: boolean,
  ): void {
    if (frame.seq) {
      const last = this.#last.get(watcher) ?? 0
      if (frame.seq <= last) this.violations.push(`seq ${frame.seq} came after ${last}`)
      this.#last.set(watcher, frame.seq)
    }
    if (!judge || !FINAL.has(frame.event)) return
    const { runId } = frame.payload
    this.ended++
    const startedAt = this.#open.get(runId)
    if (startedAt !== undefined) {
      this.#open.delete(runId)
      this.answerMs.push(performance.now() - startedAt)
    } else if (this.#early.has(runId)) this.violations.push(`${runId} ended twice`)
    else this.#early.add(runId)
  }

  /** Acknowledged and not ended yet. */
  get open(): number {
    return this.#open.size
  }
}
