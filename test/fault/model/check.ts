import { arrange, type Ending } from './facts.js'
import type { History } from './history.js'
import { conversationProblems } from './rules-conversations.js'
import { laneProblems } from './rules-lanes.js'
import { outcomeProblems } from './rules-outcomes.js'
import { reasonProblems } from './rules-reasons.js'
import { sendProblems } from './rules-sends.js'
import { streamProblems } from './rules-streams.js'
import type { WitnessLine } from './witness.js'

/** A promise that was broken. */
export interface Problem {
  readonly says: string
  /** Labels, run ids, sessions and names of clients: what the log is searched for to show how it came about. */
  readonly about: readonly string[]
  /** Where in time; microseconds. */
  readonly at?: number
}

/** Compares what clients and the agent saw, over all lives, with what may be seen. Nothing here knows how the gateway works. */
export function check(history: History, witness: readonly WitnessLine[], ending: Ending): Problem[] {
  const all = arrange(history, witness, ending)
  return [
    ...sendProblems(all),
    ...outcomeProblems(all),
    ...reasonProblems(all),
    ...conversationProblems(all),
    ...laneProblems(all),
    ...streamProblems(all),
  ]
}
