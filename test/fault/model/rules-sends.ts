import type { Problem } from './check.js'
import { type Fact, type Facts, groupBy, type Send } from './facts.js'

/** What is acknowledged exists, as it was sent; what is not exists once or not at all, and its repeat says which. */
export function* sendProblems(all: Facts): Iterable<Problem> {
  const byLabel = groupBy(all.sends, ({ label }) => label)
  const factsByLabel = groupBy(all.facts.values(), ({ label }) => label ?? '')
  for (const [label, sends] of byLabel) {
    const facts = factsByLabel.get(label) ?? []
    const about = [label, ...facts.map(({ runId }) => runId)]
    const text = (says: string) => ({ about, says })
    if (facts.length > 1) yield text(`${label} exists ${facts.length} times`)
    const isSure = sends.every(({ call }) => call.outcome === 'refused' && acceptanceOf(call) === null)
    if (isSure && facts.length > 0) yield text(`${label} was refused each time, and yet it exists`)
    for (const send of sends) yield* ackProblems(send, facts[0], all)
  }
  yield* keyProblems(all)
  yield* orderProblems(all)
}

/** The ids of an acknowledgement are those under which the event is known, and its message is there. */
function* ackProblems({ call, label, content }: Send, fact: Fact | undefined, all: Facts): Iterable<Problem> {
  const accepted = acceptanceOf(call)
  if (accepted === null) return
  const { runId, eventId, seq } = accepted
  const about = [label, runId]
  const stored = all.facts.get(runId)
  if (fact === undefined || stored !== fact) {
    yield { about, says: `${label} was acknowledged as ${runId}, which is not what exists` }
    return
  }
  if (stored.eventId !== eventId)
    yield { about, says: `${label} was acknowledged as ${eventId}, but is ${stored.eventId}` }
  if (stored.seq !== seq)
    yield { about, says: `${label} was acknowledged with seq ${seq}, but has ${stored.seq}` }
  if (call.method === 'sessions.send' && stored.message === null) {
    yield { about, says: `${label} was acknowledged, and its message is not in the journal` }
  } else if (stored.message !== null && stored.message.payload.content !== content) {
    yield { about, says: `${label} was acknowledged, and another content was stored for it` }
  }
}

/** One key, one event: the first one's ids for the same content, `CONFLICT` for another. */
function* keyProblems(all: Facts): Iterable<Problem> {
  const keyed = all.sends.filter(({ key }) => key !== null)
  for (const sends of groupBy(keyed, ({ session, key }) => `${session} ${key}`).values()) {
    const about = [...new Set(sends.map(({ label }) => label))]
    const text = (says: string) => ({ about, says: `${sends[0]!.key}: ${says}` })
    const oks = sends.filter(({ call }) => call.outcome === 'ok')
    const ids = new Set(oks.map(({ call }) => call.result.runId))
    if (ids.size > 1) yield text(`the same key was acknowledged with ${ids.size} run ids`)
    for (const { call, label } of oks) {
      const before = sends.filter((other) => other.call !== call && other.call.sentAt < call.answeredAt)
      const isKnown = oks.some((other) => other.call.answeredAt < call.sentAt)
      if (isKnown && call.result.duplicate !== true)
        yield text(`${label} was acknowledged before, and its repeat made an event`)
      if (call.result.duplicate === true && !call.repeats && !before.some((other) => other.label === label))
        yield text(`${label} is called a repeat, and it was never sent before`)
    }
    for (const { call, label } of sends) {
      if (call.outcome !== 'refused' || call.error.code !== 'CONFLICT') continue
      const others = sends.filter((other) => other.label !== label && other.call.sentAt < call.answeredAt)
      if (others.length === 0) yield text(`${label} is called a conflict, and nothing else had the key`)
    }
  }
}

/** What was acknowledged before something else was sent comes before it in its session. */
function* orderProblems(all: Facts): Iterable<Problem> {
  for (const sends of groupBy(all.sends, ({ session }) => session).values()) {
    const fresh = sends.filter(({ call }) => call.outcome === 'ok' && call.result.duplicate !== true)
    const bySending = fresh.toSorted((a, b) => a.call.sentAt - b.call.sentAt)
    const byAnswer = fresh.toSorted((a, b) => a.call.answeredAt - b.call.answeredAt)
    let newest: Send | null = null
    let answered = 0
    for (const send of bySending) {
      for (; byAnswer[answered]!.call.answeredAt < send.call.sentAt; answered++) {
        const candidate = byAnswer[answered]!
        if (newest === null || candidate.call.result.seq > newest.call.result.seq) newest = candidate
      }
      if (newest === null || newest.call.result.seq < send.call.result.seq) continue
      const about = [newest.label, send.label]
      yield {
        about,
        says: `${newest.label} was acknowledged before ${send.label} was sent, and comes after it`,
      }
    }
  }
}

/** A send that waits for the outcome may be refused that, and told that its message is accepted all the same. */
function acceptanceOf(call: Send['call']) {
  if (call.outcome === 'ok') return call.result
  return call.outcome === 'refused' ? (call.error.details?.accepted ?? null) : null
}
