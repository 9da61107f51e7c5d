import type { Frame } from '../helpers/socket.js'
import { type Fact, type Facts, FINALS, groupBy } from './facts.js'
import type { Call } from './history.js'
import type { Problem } from './model.js'
import { answerTo, isFatal, labelsIn } from './witness.js'

/** Every accepted event ends exactly once, in a way that its agent or a client gave reason for, and everyone is told the same. */
export function* outcomeProblems(all: Facts): Iterable<Problem> {
  if (all.ending.pending > 0) yield { about: [], says: `${all.ending.pending} events never ended` }
  for (const fact of all.facts.values()) {
    yield* finalProblems(fact)
    for (const final of fact.finals) yield* reasonProblems(fact, final, all)
    const ended = all.ending.outcomes.get(fact.runId)
    if (ended !== undefined) yield* outcomeProblem(fact, ended, 'agent.wait in the end')
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
  for (const answer of fact.answers) {
    const labels = labelsIn(answer.payload.content)
    if (answer.payload.content !== answerTo(labels) || (fact.label !== null && !labels.includes(fact.label)))
      yield { about, says: `${name} was answered with ${JSON.stringify(answer.payload.content)}` }
  }
}

/** Nothing completes, fails or is aborted without a cause that is known from outside. */
function* reasonProblems(fact: Fact, final: Frame, all: Facts): Iterable<Problem> {
  const about = aboutOf(fact)
  const name = nameOf(fact)
  const by = (how: 'reply' | 'fail') => fact.ends.some((line) => line.how === how)
  if (final.event === 'agent.completed' && !by('reply'))
    yield { about, says: `${name} is completed, and its agent never answered` }
  if (final.event === 'agent.failed') {
    if (!by('fail')) yield { about, says: `${name} is failed, and its agent never failed` }
    if (fact.content !== null && !isFatal(fact.content))
      yield { about, says: `${name} is failed for good, and it was to succeed in the end` }
  }
  if (final.event === 'agent.aborted') {
    const seen = all.seenAt.get(final.seq) ?? Number.POSITIVE_INFINITY
    const asked = all.history.calls.some((call) => call.sentAt < seen && aborts(call, fact))
    if (!asked) yield { about, says: `${name} is aborted (${final.payload.reason}), and nobody asked for it` }
  }
}

export function aborts({ method, outcome, params, sessionKey }: Call, fact: Fact): boolean {
  if (method !== 'agent.abort' || outcome === 'refused') return false
  return params.runId === undefined ? sessionKey === fact.session : params.runId === fact.runId
}

function* waiterProblems(call: Call, all: Facts): Iterable<Problem> {
  if (call.outcome === 'refused' && call.error.code === 'INTERNAL_ERROR')
    yield { about: [call.client], says: `${call.method} was answered INTERNAL_ERROR`, at: call.sentAt }
  if (call.outcome !== 'ok') return
  if (call.method === 'agent.abort') {
    for (const runId of call.result.aborted as string[]) {
      const fact = all.facts.get(runId)
      if (fact?.finals.some(({ event }) => event === 'agent.aborted')) continue
      yield { about: [runId], says: `${runId} was said to be aborted, and it is not` }
    }
    return
  }
  const isOutcome = call.method === 'agent.wait'
  const outcome = isOutcome ? call.result : call.result?.outcome
  if (outcome === undefined || (!isOutcome && call.method !== 'sessions.send')) return
  const fact = all.facts.get(outcome.runId)
  if (fact === undefined) yield { about: [outcome.runId], says: `a waiter was told of ${outcome.runId}` }
  else yield* outcomeProblem(fact, outcome, `${call.method} of ${call.client}`)
}

/** What a waiter is told is what the log has. With retries of a dead letter it may be that of an earlier end. */
function* outcomeProblem(fact: Fact, outcome: Frame, who: string): Iterable<Problem> {
  const about = aboutOf(fact)
  const { status, message } = outcome
  const matching = fact.finals.filter((final) => statusOf(final) === status)
  if (matching.length === 0)
    yield { about, says: `${who} was told that ${nameOf(fact)} is ${status}, the log says otherwise` }
  if (message === null) {
    if (status === 'completed') yield { about, says: `${who} was given no message of ${nameOf(fact)}` }
  } else if (!fact.answers.some((a) => a.seq === message.seq && a.payload.content === message.content)) {
    yield { about, says: `${who} was given a message of ${nameOf(fact)} that the log has not` }
  }
}

const statusOf = ({ event, payload }: Frame): string =>
  event === 'agent.merged' ? payload.status : event.slice('agent.'.length)

function* deadLetterProblems({ facts, ending, history }: Facts): Iterable<Problem> {
  const discards = groupBy(
    history.calls.filter(({ method, outcome }) => method === 'deadLetters.discard' && outcome !== 'refused'),
    ({ params }) => params.eventId,
  )
  for (const fact of facts.values()) {
    const isLetter = ending.deadLetters.has(fact.eventId ?? '')
    const isFailed = fact.finals.at(-1)?.event === 'agent.failed'
    const discarded = discards.get(fact.eventId) ?? []
    if (isLetter && !isFailed)
      yield { about: aboutOf(fact), says: `${nameOf(fact)} is a dead letter, and it did not fail` }
    if (isFailed && !isLetter && discarded.length === 0)
      yield { about: aboutOf(fact), says: `${nameOf(fact)} failed for good, and it is no dead letter` }
    if (isLetter && discarded.some(({ outcome }) => outcome === 'ok'))
      yield { about: aboutOf(fact), says: `${nameOf(fact)} was discarded, and it is a dead letter` }
  }
}

export const nameOf = ({ label, runId }: Fact): string => label ?? runId

export const aboutOf = ({ label, runId, eventId }: Fact): string[] =>
  [label, runId, eventId].filter((word) => word !== null)

export const isFinal = ({ event }: Frame): boolean => FINALS.includes(event)
