import type { Failpoint } from '../../src/failpoint.js'
import type { StartOptions } from '../helpers/gateway-process.js'

/** Where a process dies: at a point, the nth time that one of its threads comes there. */
export type Death = readonly [point: Failpoint, hit: number]

/** The environment of a process that dies there: SIGKILL, by itself. The writer's thread inherits the condition. */
export const dying = ([point, hit]: Death): { env: NodeJS.ProcessEnv } & StartOptions => ({
  env: { NODE_OPTIONS: '--conditions=failpoints', FAILPOINT: `${point}:${hit}` },
})

// Each list is a series of lives over one state folder. The first hits are where sessions come into being, the others in
// the middle of messages and outcomes.

export const TO_THE_DISK: readonly Death[] = [
  ['batch.begun', 1],
  ['batch.sent', 1],
  ['batch.beginning', 5],
  ['batch.written', 2],
  ['batch.written', 12],
  ['batch.flushed', 3],
]

export const BACK_FROM_IT: readonly Death[] = [
  ['batch.committed', 1],
  ['batch.publishing', 1],
  ['batch.answered', 4],
  ['batch.published', 5],
  ['batch.settled', 4],
  ['batch.committed', 9],
]

export const OUTCOMES_AND_RESPONSES: readonly Death[] = [
  ['outcome.completing', 1],
  ['outcome.completed', 2],
  ['response.writing', 4],
  ['outcome.completing', 7],
  ['response.written', 7],
  ['response.writing', 9],
]

/** Of many writes at once a part is with the writer's thread before the others are there. */
export const BURSTS: readonly Death[] = [
  ['batch.fed', 1],
  ['batch.written', 20],
  ['batch.publishing', 1],
]

/** Once the log is long enough to be moved into the database. */
export const LONG_LOG: readonly Death[] = [
  ['log.moving', 1],
  ['log.moved', 1],
  ['log.moving', 1],
]

export const FIRST_START: readonly Death[] = [
  ['open.locked', 1],
  ['open.made', 1],
  ['open.migrating', 1],
  ['open.migrated', 1],
  ['open.logged', 1],
  ['open.sealed', 1],
]

export const LATER_START: readonly Death[] = [
  ['open.locked', 1],
  ['open.logged', 1],
  ['open.sealed', 1],
]

/** Of a conversation that grew too long. */
export const TRIMMING: readonly Death[] = [['retention.trimmed', 1]]

/** Each over a copy of the same journal; the steps in between differ by what they remove. */
export const RETENTION: readonly Death[] = [
  ['retention.stepping', 1],
  ['retention.stepped', 1],
  ['retention.stepped', 3],
  ['retention.entries', 1],
  ['retention.stepped', 6],
  ['retention.entries', 2],
  ['retention.expired', 1],
  ['retention.stepping', 12],
  ['search.removed', 1],
  ['search.added', 1],
  ['search.added', 3],
]
