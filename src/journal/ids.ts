import { randomBytes } from 'node:crypto'

const EVENT = 'evt_'
const RUN = 'run_'
const MESSAGE = 'msg_'
const DELIVERY = 'dlv_'
const QUESTION = 'ask_'
const JOB = 'job_'
const TOKEN = 'tok_'
const PAIRING = 'pair_'
const AUDIT = 'aud_'

const TIME_DIGITS = 9
const COUNTER_DIGITS = 4
const COUNTER_LIMIT = 36 ** COUNTER_DIGITS
const RANDOM_DIGITS = 8

/** Tells this process's ids from those that another makes in the same millisecond. */
const processPart = (randomBytes(8).readBigUInt64BE() % 36n ** BigInt(RANDOM_DIGITS))
  .toString(36)
  .padStart(RANDOM_DIGITS, '0')

let time = 0
let timePart = ''
let counter = 0

const setTime = (ms: number) => {
  time = ms
  timePart = ms.toString(36).padStart(TIME_DIGITS, '0')
  counter = 0
}

/**
 * Time, counter, process: of fixed width, so that ids of one process sort as they were made, and an index on them grows at
 * its right edge. A clock that goes back does not take them along.
 */
function nextSuffix(): string {
  const now = Date.now()
  if (now > time) setTime(now)
  else if (++counter === COUNTER_LIMIT) setTime(time + 1)
  return timePart + counter.toString(36).padStart(COUNTER_DIGITS, '0') + processPart
}

/** New ids sort after this suffix, too: those of an earlier process, by whatever clock. */
export function continueAfter(suffix: string): void {
  const before = Number.parseInt(suffix.slice(0, TIME_DIGITS), 36)
  if (before >= time) setTime(before + 1)
}

/** The ids of a new inbound event: `evt_<x>` and `run_<x>` with the same x, unique and in order of time. */
export function newEventIds(): { eventId: string; runId: string } {
  const suffix = nextSuffix()
  return { eventId: EVENT + suffix, runId: RUN + suffix }
}

export const newMessageId = (): string => MESSAGE + nextSuffix()

export const newDeliveryId = (): string => DELIVERY + nextSuffix()

export const newQuestionId = (): string => QUESTION + nextSuffix()

export const newJobId = (): string => JOB + nextSuffix()

export const newTokenId = (): string => TOKEN + nextSuffix()

export const newPairingId = (): string => PAIRING + nextSuffix()

export const newAuditId = (): string => AUDIT + nextSuffix()

/** The event that a run handles; null: that is no run id. */
export const eventIdOfRun = (runId: string): string | null =>
  runId.length > RUN.length && runId.startsWith(RUN) ? EVENT + runId.slice(RUN.length) : null

/** What the journal keeps of an event id; null: that is no event id. */
export const suffixOfEvent = (eventId: string): string | null =>
  eventId.length > EVENT.length && eventId.startsWith(EVENT) ? eventId.slice(EVENT.length) : null

/** Of those that are event ids. */
export const suffixesOfEvents = (eventIds: readonly string[]): string[] =>
  eventIds.map(suffixOfEvent).filter((id) => id !== null)

export const suffixOfRun = (runId: string): string | null => suffixOfEvent(eventIdOfRun(runId) ?? '')

/** The inverse of `suffixOfEvent` and `suffixOfRun`. */
export const idsOfSuffix = (suffix: string): { eventId: string; runId: string } => ({
  eventId: EVENT + suffix,
  runId: RUN + suffix,
})
