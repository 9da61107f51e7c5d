import { type InboundEvent, PRIORITIES } from '../protocol/index.js'
import type { Task } from './lane.js'
import type { Sender } from './ready-list.js'

/** Why a run was stopped before it answered. */
export type AbortCause =
  | { readonly kind: 'requested'; readonly reason: string }
  | { readonly kind: 'timeout'; readonly timeoutMs: number }
  | { readonly kind: 'shutdown' }

/** An accepted event in its lane, from the journal's word to its outcome. */
export class QueuedEvent implements Task {
  next: Task | null = null
  readonly rank: Task['rank']
  /** Tries begun. */
  attempt = 0
  agent = ''
  startedAt = 0
  /** Set while it runs. */
  controller: AbortController | null = null
  abortCause: AbortCause | null = null
  retryTimer: NodeJS.Timeout | null = null

  constructor(
    readonly event: InboundEvent,
    readonly bytes: number,
    readonly sender: Sender | null = null,
  ) {
    this.rank = PRIORITIES.indexOf(event.priority) as Task['rank']
  }

  /** Stops the run; the first cause stands. False: this is not it. */
  abort(cause: AbortCause): boolean {
    if (this.abortCause !== null) return false
    this.abortCause = cause
    this.controller?.abort()
    return true
  }
}
