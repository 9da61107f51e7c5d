import { PRIORITIES, type Priority } from '../../../src/protocol/index.js'
import type { Frame } from '../../helpers/socket.js'
import type { Call, History } from './history.js'
import { labelsIn, type WitnessLine } from './witness.js'

/** What the gateway says of everything once nothing is left to do. */
export interface Ending {
  /** Every durable event from the first on, as a client that asks for all of them gets it. */
  readonly log: readonly Frame[]
  /** `sessions.history`, oldest first. */
  readonly conversations: ReadonlyMap<string, readonly Frame[]>
  /** `agent.wait`, by run. */
  readonly outcomes: ReadonlyMap<string, Frame>
  /** Ids of the events in `deadLetters.list`. */
  readonly deadLetters: ReadonlySet<string>
  /** What still waited or ran when the time for it was over. */
  readonly pending: number
  /** The clients that did not get everything, with what they lacked. */
  readonly behind: readonly string[]
}

const FINALS = ['agent.completed', 'agent.failed', 'agent.aborted', 'agent.merged']

/** One event that the gateway accepted, as far as anything tells of it. */
export interface Fact {
  readonly runId: string
  eventId: string | null
  session: string | null
  /** Of its message; null where only a call or the witness knows of it. */
  label: string | null
  content: string | null
  rank: number
  seq: number
  /** The `session.message` of who sent it. */
  message: Frame | null
  readonly answers: Frame[]
  readonly finals: Frame[]
  /** Requests that were answered with its ids. */
  readonly acks: Call[]
  /** Lines of the runs that handled it, its own or another's. */
  readonly begins: WitnessLine[]
  readonly ends: WitnessLine[]
  /** `deadLetters.retry` of it, done or lost. */
  readonly retries: Call[]
}

/** How it is called where a person reads it. */
export const nameOf = ({ label, runId }: Fact): string => label ?? runId

/** What the log is searched for. */
export const aboutOf = ({ label, runId, eventId }: Fact): string[] =>
  [label, runId, eventId].filter((word) => word !== null)

export const isFinal = ({ event }: Frame): boolean => FINALS.includes(event)

/** How an event ended that has this final event. */
export const statusOf = ({ event, payload }: Frame): string =>
  event === 'agent.merged' ? payload.status : event.slice('agent.'.length)

/** A request to accept something. */
export interface Send {
  readonly call: Call
  readonly label: string
  readonly content: string
  readonly session: string
  readonly key: string | null
  readonly rank: number
}

/** All there is to know, arranged by what it is about. */
export interface Facts {
  readonly history: History
  readonly witness: readonly WitnessLine[]
  readonly ending: Ending
  readonly facts: ReadonlyMap<string, Fact>
  readonly sends: readonly Send[]
  /** When a client first had the event of that `seq`. */
  readonly seenAt: ReadonlyMap<number, number>
}

/** `Map.groupBy`, which Node 20 has not. */
export function groupBy<T, K>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

export function arrange(history: History, witness: readonly WitnessLine[], ending: Ending): Facts {
  const facts = new Map<string, Fact>()
  const sends = history.calls.map(sendOf).filter((send) => send !== null)
  const rankOf = new Map(sends.map(({ label, rank }) => [label, rank]))
  const fact = (runId: string) => {
    const known = facts.get(runId) ?? newFact(runId)
    facts.set(runId, known)
    return known
  }
  for (const send of sends) if (send.call.outcome === 'ok') addAck(fact(send.call.result.runId), send)
  for (const frame of ending.log) if (frame.payload?.runId !== undefined) addFrame(fact, frame)
  for (const line of witness) {
    for (const [n, runId] of line.runIds.entries()) {
      const known = fact(runId)
      if (n === 0) known.eventId ??= line.eventId
      known.session ??= line.session
      known.label ??= line.labels[n] ?? null
      if (line.what === 'begin') known.begins.push(line)
      if (line.what === 'end') known.ends.push(line)
    }
  }
  for (const call of history.calls) {
    if (call.method !== 'deadLetters.retry' || call.outcome === 'refused') continue
    for (const known of facts.values()) {
      if (known.eventId === call.params.eventId) known.retries.push(call)
    }
  }
  for (const known of facts.values()) known.rank = rankOf.get(known.label ?? '') ?? known.rank
  return { history, witness, ending, facts, sends, seenAt: firstSeen(history) }
}

function newFact(runId: string): Fact {
  return {
    runId,
    eventId: null,
    session: null,
    label: null,
    content: null,
    rank: 0,
    seq: 0,
    message: null,
    answers: [],
    finals: [],
    acks: [],
    begins: [],
    ends: [],
    retries: [],
  }
}

function sendOf(call: Call): Send | null {
  const { method, params, sessionKey } = call
  if (method !== 'sessions.send' && method !== 'events.publish') return null
  const content = String(method === 'sessions.send' ? params.content : (params.payload as Frame).content)
  const usual: Priority = method === 'sessions.send' ? 'chat' : 'system'
  return {
    call,
    content,
    label: labelsIn(content)[0]!,
    session: sessionKey!,
    key: (params.idempotencyKey as string | undefined) ?? null,
    rank: PRIORITIES.indexOf((params.priority as Priority | undefined) ?? usual),
  }
}

function addAck(known: Fact, { call, label, content, session }: Send): void {
  known.acks.push(call)
  known.eventId ??= call.result.eventId
  known.session ??= session
  known.label ??= label
  known.content ??= content
  known.seq ||= call.result.seq
}

function addFrame(fact: (runId: string) => Fact, frame: Frame): void {
  const known = fact(frame.payload.runId)
  known.eventId ??= frame.payload.eventId
  known.session ??= frame.sessionKey
  if (isFinal(frame)) known.finals.push(frame)
  if (frame.event !== 'session.message') return
  if (frame.payload.role === 'user') {
    known.message ??= frame
    known.seq = frame.seq
    known.content ??= frame.payload.content
    known.label ??= labelsIn(frame.payload.content)[0] ?? null
  } else known.answers.push(frame)
}

function firstSeen({ connections }: History): Map<number, number> {
  const seenAt = new Map<number, number>()
  for (const { events } of connections) {
    for (const { at, frame } of events) {
      if (frame.seq !== undefined) seenAt.set(frame.seq, Math.min(at, seenAt.get(frame.seq) ?? at))
    }
  }
  return seenAt
}
