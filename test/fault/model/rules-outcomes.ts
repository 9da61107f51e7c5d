import type { Frame } from '../../helpers/socket.js'
import type { Problem } from './check.js'
import { aboutOf, type Fact, type Facts, groupBy, nameOf, statusOf } from './facts.js'
import type { Call } from './history.js'

/** Every accepted event ends exactly once, and everyone is told the same of it. */
export function* outcomeProblems(all: Facts): Iterable<Problem> {
  if (all.ending.pending > 0) yield { about: [], says: `${all.ending.pending} events never ended` }
  for (const fact of all.facts.values()) {
    yield* finalProblems(fact)
    const ended = all.ending.outcomes.get(fact.runId)
    if (ended !== undefined) yield* outcomeProblem(fact, ended, 'agent.wait in the end', all)
    else if (fact.finals.length > 0)
      yield { about: aboutOf(fact), says: `agent.wait has no outcome of ${nameOf(fact)}` }
  }
  for (const call of all.history.calls) yield* waiterProblems(call, all)
  yield* deadLetterProblems(all)
}

function* finalProblems(fact: Fact): Iterable<Problem> {
  const name = nameOf(fact)
  const about = aboutOf(fact)
  const sure = fact.retries.filter(({ outcome }) => outcome === 'ok').length
  const most = 1 + fact.retries.length
  const { length } = fact.finals
  const kinds = fact.finals.map(({ event, seq }) => `${event} at ${seq}`).join(', ')
  if (length === 0) yield { about, says: `${name} was accepted and has no final event: it is lost` }
  else if (length < 1 + sure || length > most) {
    yield { about, says: `${name} has ${length} final events (${kinds}), expected ${1 + sure}` }
  }
  const completed = fact.finals.filter(({ event }) => event === 'agent.completed').length
  if (fact.answers.length !== completed)
    yield { about, says: `${name} completed ${completed} times and has ${fact.answers.length} answers` }
}

function* waiterProblems(call: Call, all: Facts): Iterable<Problem> {
  if (call.error?.code === 'INTERNAL_ERROR')
    yield { about: [call.client], says: `${call.method} was answered INTERNAL_ERROR`, at: call.sentAt }
  if (call.outcome !== 'ok') return
  if (call.method === 'agent.abort') {
    for (const runId of call.result.aborted as string[]) {
      const fact = all.facts.get(runId)
      if (fact?.finals.some((final) => statusOf(final) === 'aborted')) continue
      yield { about: [runId], says: `${runId} was said to be aborted, and it is not` }
    }
    return
  }
  const outcome = call.method === 'agent.wait' ? call.result : call.result?.outcome
  if (outcome === undefined) return
  const fact = all.facts.get(outcome.runId)
  if (fact === undefined) yield { about: [outcome.runId], says: `a waiter was told of ${outcome.runId}` }
  else yield* outcomeProblem(fact, outcome, `${call.method} of ${call.client}`, all)
}

/** What a waiter is told is what the log has. With retries of a dead letter it may be that of an earlier end. */
function* outcomeProblem(fact: Fact, outcome: Frame, who: string, all: Facts): Iterable<Problem> {
  const { status, message, mergedInto } = outcome
  const text = (says: string) => ({ about: aboutOf(fact), says: `${who}: ${nameOf(fact)} ${says}` })
  const isLogged = fact.finals.some(
    (final) => statusOf(final) === status && (final.payload.mergedInto ?? null) === mergedInto,
  )
  if (!isLogged) yield text(`is said to be ${status}, into ${mergedInto}; the log says otherwise`)
  const answers = all.facts.get(mergedInto ?? fact.runId)?.answers ?? []
  if (message === null) {
    if (status === 'completed') yield text('is completed without its message')
  } else if (
    !answers.some(({ seq, payload }) => seq === message.seq && payload.content === message.content)
  ) {
    yield text('comes with a message that the log has not')
  }
}

function* deadLetterProblems({ facts, ending, history }: Facts): Iterable<Problem> {
  const discards = groupBy(
    history.calls.filter(({ method, outcome }) => method === 'deadLetters.discard' && outcome !== 'refused'),
    ({ params }) => params.eventId,
  )
  for (const fact of facts.values()) {
    const isLetter = ending.deadLetters.has(fact.eventId ?? '')
    const last = fact.finals.at(-1)
    const isFailed = last !== undefined && statusOf(last) === 'failed'
    const discarded = discards.get(fact.eventId) ?? []
    if (isLetter && !isFailed)
      yield { about: aboutOf(fact), says: `${nameOf(fact)} is a dead letter, and it did not fail` }
    if (isFailed && !isLetter && discarded.length === 0)
      yield { about: aboutOf(fact), says: `${nameOf(fact)} failed for good, and it is no dead letter` }
    if (isLetter && discarded.some(({ outcome }) => outcome === 'ok'))
      yield { about: aboutOf(fact), says: `${nameOf(fact)} was discarded, and it is a dead letter` }
  }
}
