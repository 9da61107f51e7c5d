import type { ResultOf } from '../protocol/contract.js'
import type { EventFrame } from '../protocol/frames.js'
import type { eventsSubscribe } from '../protocol/methods/events.js'
import { compilePatterns } from '../protocol/pattern.js'

type Selection = ResultOf<typeof eventsSubscribe>['subscriptions'][number]

/** As many patterns as a hello may carry. */
const HELLO_PATTERNS = 64

/**
 * What the application receives, so that a reconnect restores it. A hello carries patterns only; where session keys were
 * chosen too, the new connection begins with everything, so that its replay misses nothing, and is narrowed by requests.
 */
export class Subscriptions {
  /** Null: everything. */
  #selections: readonly Selection[] | null

  constructor(patterns: readonly string[] | undefined) {
    this.#selections = patterns === undefined ? null : [{ patterns: [...patterns], sessionKeys: null }]
  }

  /** The gateway's answer to `events.subscribe` and `events.unsubscribe`. */
  update(selections: readonly Selection[]): void {
    this.#selections = selections
  }

  /** For the hello; undefined: everything. */
  get patterns(): string[] | undefined {
    if (this.#selections === null || this.requests.length > 0) return undefined
    return [...new Set(this.#selections.flatMap((selection) => selection.patterns))]
  }

  /** The `events.subscribe` parameters to send after the hello. */
  get requests(): { patterns: string[]; sessionKeys?: string[] }[] {
    const selections = this.#selections ?? []
    const count = selections.reduce((sum, selection) => sum + selection.patterns.length, 0)
    if (count <= HELLO_PATTERNS && selections.every((selection) => selection.sessionKeys === null)) return []
    return selections.map(({ patterns, sessionKeys }) =>
      sessionKeys === null ? { patterns } : { patterns, sessionKeys },
    )
  }

  /** Whether a frame is within what was chosen, for the time until the gateway has narrowed it down. */
  filter(): (frame: EventFrame) => boolean {
    const predicates = (this.#selections ?? []).map(({ patterns, sessionKeys }) => {
      const matches = compilePatterns(patterns)
      return (frame: EventFrame) =>
        matches(frame.event) &&
        (sessionKeys === null || (frame.sessionKey !== null && sessionKeys.includes(frame.sessionKey)))
    })
    return (frame) => predicates.some((accepts) => accepts(frame))
  }
}
