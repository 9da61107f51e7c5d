import type { Problem } from './check.js'
import { aboutOf, type Fact, type Facts, groupBy, nameOf } from './facts.js'
import type { Call } from './history.js'
import { aborts, modesOf } from './rules-reasons.js'
import type { WitnessLine } from './witness.js'

/** In a session one after the other, in order, as the agent saw it; a kill cuts a handling off, and it begins again. */
export function* laneProblems(all: Facts): Iterable<Problem> {
  for (const [session, lines] of groupBy(all.witness, (line) => line.session)) {
    for (const life of groupBy(lines, (line) => line.life).values()) yield* serialProblems(life, all)
    yield* fifoProblems(lines, all)
    yield* urgencyProblems(lines, all)
    yield* pauseProblems(session, lines, all)
  }
  for (const fact of all.facts.values()) yield* afterwardsProblems(fact, all)
}

/** Within one life: no handling begins while another one is on, and none twice unless it failed. */
function* serialProblems(lines: readonly WitnessLine[], all: Facts): Iterable<Problem> {
  let running: WitnessLine | null = null
  const begun = new Map<string, WitnessLine>()
  for (const line of lines) {
    const { at, runId } = line
    const about = [...line.runIds, ...line.labels, ...(running === null ? [] : running.runIds)]
    if (line.what === 'took') {
      if (running?.runId !== runId)
        yield { at, about, says: `${line.labels} was handed to a run that is over` }
      begun.set(line.runIds.at(-1)!, line)
    } else if (line.what === 'begin') {
      if (running !== null)
        yield {
          at,
          about,
          says: `two at once in ${line.session}: ${line.labels} began while ${running.labels} ran`,
        }
      for (const id of line.runIds) {
        const before = begun.get(id)
        const isRetried = all.facts.get(id)!.retries.length > 0
        if (before !== undefined && line.attempt <= before.attempt && !isRetried)
          yield { at, about, says: `${line.labels} was handled twice in one life` }
        begun.set(id, line)
      }
      running = line
    } else if (line.what !== 'late' && running?.runId === runId) running = null
  }
}

/**
 * Of one class of priority, in the order of the journal: over all lives, since what was cut off begins again first. What ran
 * together once may run one by one later.
 */
function* fifoProblems(lines: readonly WitnessLine[], all: Facts): Iterable<Problem> {
  const earlier: { fact: Fact; line: WitnessLine }[] = []
  const taken = new Set<string>()
  for (const line of lines) {
    if (line.what === 'took') taken.add(line.runIds.at(-1)!)
    if (line.what !== 'begin') continue
    const facts = line.runIds.map((runId) => all.facts.get(runId)!).filter((fact) => !isUnordered(fact))
    for (const fact of facts) {
      const passed = earlier.find(
        (before) =>
          before.fact.rank === fact.rank &&
          before.fact.seq > fact.seq &&
          !before.line.runIds.includes(fact.runId) &&
          !mayBeSkipped(fact, before.line, line, all),
      )
      if (passed === undefined) continue
      yield {
        at: line.at,
        about: [...aboutOf(fact), ...aboutOf(passed.fact)],
        says: `${nameOf(fact)} (${fact.seq}) began after ${nameOf(passed.fact)} (${passed.fact.seq}), which came later`,
      }
    }
    // A message that a run took overtakes what is none.
    for (const fact of facts) if (!taken.has(fact.runId)) earlier.push({ fact, line })
  }
}

/** It was to be aborted for a newer message, and a kill came between: what becomes of it is for the next life to decide. */
const mayBeSkipped = (fact: Fact, before: WitnessLine, now: WitnessLine, all: Facts): boolean =>
  before.life < now.life && fact.message !== null && modesOf(fact.session, all).has('interrupt')

/** A dead letter that is retried goes to the end; of an event that no answer names the place is not known. */
const isUnordered = ({ retries, seq }: Fact): boolean => retries.length > 0 || seq === 0

/** Nothing begins that is less urgent than what was known to wait when the handling before it ended. */
function* urgencyProblems(lines: readonly WitnessLine[], all: Facts): Iterable<Problem> {
  const begins = lines.filter(({ what }) => what === 'begin')
  const lastBegin = new Map(begins.flatMap((line) => line.runIds.map((runId) => [runId, line])))
  const waiting = [...lastBegin.keys()].map((runId) => all.facts.get(runId)!).filter((f) => !isUnordered(f))
  let chosenAt = 0
  let life = 0
  let current = ''
  for (const line of lines) {
    const { what, runId, at, life: n } = line
    if (n !== life) {
      life = n
      current = ''
      chosenAt = all.history.lives[n - 1]!.startedAt
    }
    if (what === 'end' || what === 'told') chosenAt = at
    if (what !== 'begin') continue
    const fact = all.facts.get(runId)!
    const isAgain = current === runId
    current = runId
    if (isAgain || isUnordered(fact)) continue
    const passed = waiting.find(
      (other) =>
        other.rank < fact.rank &&
        lastBegin.get(other.runId)!.at > at &&
        !mayBeSkipped(other, line, lastBegin.get(other.runId)!, all) &&
        other.acks.some(({ answeredAt }) => answeredAt < chosenAt),
    )
    if (passed === undefined) continue
    const about = [...aboutOf(fact), ...aboutOf(passed)]
    yield { at, about, says: `${nameOf(fact)} began, though the more urgent ${nameOf(passed)} waited` }
  }
}

/** Nothing begins in a lane that is known to be paused, over all lives. */
function* pauseProblems(session: string, lines: readonly WitnessLine[], all: Facts): Iterable<Problem> {
  const calls = all.history.calls.filter(({ sessionKey }) => sessionKey === session)
  const resumes = calls.filter(({ method, outcome }) => method === 'lanes.resume' && outcome !== 'refused')
  for (const pause of calls) {
    if (pause.method !== 'lanes.pause' || pause.outcome !== 'ok') continue
    const until = Math.min(...resumes.filter((resume) => resume.answeredAt > pause.sentAt).map(sentAt))
    const begun = new Set<string>()
    for (const { what, runId, at, life, labels } of lines) {
      if (what !== 'begin') continue
      const isFirst = !begun.has(`${life} ${runId}`)
      begun.add(`${life} ${runId}`)
      if (isFirst && at > pause.answeredAt && at < until) {
        yield { at, about: [session, runId, ...labels], says: `${labels} began while ${session} was paused` }
      }
    }
  }
}

const sentAt = (call: Call): number => call.sentAt

/** Nothing is handled after its end was seen, or after those who stopped it were told that it is stopped. */
function* afterwardsProblems(fact: Fact, all: Facts): Iterable<Problem> {
  if (fact.retries.length > 0) return
  const last = fact.begins.at(-1)
  if (last === undefined) return
  const about = aboutOf(fact)
  const seen = Math.min(...fact.finals.map(({ seq }) => all.seenAt.get(seq) ?? Number.POSITIVE_INFINITY))
  if (last.at > seen) yield { at: last.at, about, says: `${nameOf(fact)} was handled again after its end` }
  const known = Math.min(...fact.acks.map(({ answeredAt }) => answeredAt))
  for (const call of all.history.calls) {
    if (call.outcome !== 'ok' || call.answeredAt > last.at || known > call.sentAt || !aborts(call, fact))
      continue
    yield { at: last.at, about, says: `${nameOf(fact)} began after it was aborted` }
  }
}
