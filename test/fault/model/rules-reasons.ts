import type { QueueMode } from '../../../src/protocol/index.js'
import type { Frame } from '../../helpers/socket.js'
import type { Problem } from './check.js'
import { aboutOf, type Fact, type Facts, nameOf, statusOf } from './facts.js'
import type { Call } from './history.js'
import { answerTo, isFatal } from './witness.js'

/** Nothing completes, fails, is aborted or merged without a cause that is known from outside. */
export function* reasonProblems(all: Facts): Iterable<Problem> {
  for (const fact of all.facts.values()) {
    for (const final of fact.finals) {
      const text = (says: string) => ({ about: aboutOf(fact), says: `${nameOf(fact)} ${says}` })
      if (final.event === 'agent.merged') yield* mergedProblems(fact, final, all)
      else yield* ownProblems(fact, final, all)
      const status = statusOf(final)
      const by = (how: 'reply' | 'fail') => fact.ends.some((line) => line.how === how)
      if (status === 'completed' && !by('reply')) yield text('is completed, and no agent ever answered it')
      if (status === 'failed' && !by('fail')) yield text('is failed, and no agent ever failed at it')
      if (status === 'aborted') yield* abortProblems(fact, final, all)
    }
  }
}

/** Of a run's own event: what else the run handled says so, too, and the answer is to all of it, in order. */
function* ownProblems(fact: Fact, final: Frame, all: Facts): Iterable<Problem> {
  const merged = (final.payload.merged ?? []) as { runId: string; eventId: string }[]
  const text = (says: string) => ({ about: aboutOf(fact), says: `${nameOf(fact)} ${says}` })
  const others = merged.map(({ runId }) => all.facts.get(runId))
  for (const [n, other] of others.entries()) {
    const place = final.seq + 1 + n
    if (
      other?.finals.some(
        ({ event, seq, payload }) => isMerged(event) && seq === place && payload.mergedInto === fact.runId,
      )
    )
      continue
    yield text(`names ${merged[n]!.runId} as merged, which does not say so at ${place}`)
  }
  if (final.event === 'agent.failed' && fact.content !== null && !isFatal(fact.content))
    yield text('is failed for good, and it was to succeed in the end')
  if (final.event !== 'agent.completed') return
  const labels = [fact, ...others].map((one) => one?.label ?? '#?')
  const answer = fact.answers.find(({ seq }) => seq === final.seq - 1)
  if (answer === undefined) yield text(`is completed at ${final.seq}, and there is no answer before that`)
  else if (answer.payload.content !== answerTo(labels))
    yield text(`is answered ${JSON.stringify(answer.payload.content)}, expected ${answerTo(labels)}`)
}

const isMerged = (event: string): boolean => event === 'agent.merged'

/** Merged are messages, into a run of their session that says so, where somebody asked for a mode that does it. */
function* mergedProblems(fact: Fact, final: Frame, all: Facts): Iterable<Problem> {
  const { mergedInto, status } = final.payload
  const lead = all.facts.get(mergedInto)
  const text = (says: string) => ({
    about: [...aboutOf(fact), mergedInto],
    says: `${nameOf(fact)} is merged into ${mergedInto}, ${says}`,
  })
  const modes = modesOf(fact.session, all)
  if (!modes.has('collect') && !modes.has('steer'))
    yield text('and its session was only ever to run them one by one')
  if (fact.message === null) yield text('and only messages are')
  if (lead?.message === null && !modes.has('steer')) yield text('and only messages are collected')
  if (lead === undefined) yield text('which does not exist')
  else if (lead.session !== fact.session) yield text('which is another session’s')
  else if (
    !lead.finals.some(
      (own) => own.payload.merged?.some((one: Frame) => one.runId === fact.runId) && statusOf(own) === status,
    )
  )
    yield text(`which did not end ${status} with it`)
}

function* abortProblems(fact: Fact, final: Frame, all: Facts): Iterable<Problem> {
  const { runId, mergedInto = runId } = final.payload
  const lead = all.facts.get(mergedInto)
  const own = lead?.finals.find((one) => one.event === 'agent.aborted')
  if (own === undefined) return
  const text = (says: string) => ({ about: aboutOf(fact), says: `${nameOf(fact)} is aborted, ${says}` })
  const seen = all.seenAt.get(final.seq) ?? Number.POSITIVE_INFINITY
  const { reason, interruptedBy, merged = [] } = own.payload
  if (interruptedBy !== undefined) {
    const by = all.facts.get(interruptedBy)
    if (!modesOf(fact.session, all).has('interrupt'))
      yield text('and nothing was ever to interrupt in its session')
    if (by === undefined || by.session !== fact.session || by.message === null)
      yield text(`interrupted by ${interruptedBy}, which is no message of its session`)
    else if (by.seq <= fact.seq) yield text(`interrupted by ${nameOf(by)}, which is older`)
    return
  }
  const group = [mergedInto, ...merged.map((one: Frame) => one.runId)].map((id: string) => all.facts.get(id)!)
  const asked = all.history.calls.some((call) => call.sentAt < seen && group.some((one) => aborts(call, one)))
  if (!asked) yield text(`reason ${reason}, and nobody asked for it`)
}

/** Whether this may have stopped it. */
export function aborts({ method, outcome, params, sessionKey }: Call, fact: Fact): boolean {
  if (method !== 'agent.abort' || outcome === 'refused') return false
  return params.runId === undefined ? sessionKey === fact.session : params.runId === fact.runId
}

const SETTING = ['sessions.create', 'sessions.patch']

/** The modes that a session may ever have had. */
export function modesOf(session: string | null, { history }: Facts): Set<QueueMode> {
  const modes = new Set<QueueMode>(['followup'])
  for (const { method, params, outcome, sessionKey } of history.calls) {
    if (!SETTING.includes(method) || sessionKey !== session || outcome === 'refused') continue
    if (params.queueMode) modes.add(params.queueMode as QueueMode)
  }
  return modes
}
