import { isDeepStrictEqual } from 'node:util'
import type { Frame } from '../../helpers/socket.js'
import type { Problem } from './check.js'
import { type Facts, isFinal } from './facts.js'
import { type Connection, EVERY_LIFE, type Seen } from './history.js'

/** Each connection shows every durable event after its position once, in order, without a gap; the others where they belong. */
export function* streamProblems(all: Facts): Iterable<Problem> {
  for (const client of all.ending.behind) yield { about: [], says: client }
  for (const connection of all.history.connections) {
    if (connection.given === null) continue
    yield* positionProblems(connection, all)
    yield* durableProblems(connection, all.ending.log)
    yield* passingProblems(connection, all)
  }
}

const whose = ({ client, n }: Connection): string => `connection ${n} of ${client}`

function* positionProblems(connection: Connection, { history }: Facts): Iterable<Problem> {
  const { asked, client, openedAt } = connection
  const given = connection.given!
  const about = [client]
  const first = history.connections.find((other) => other.given !== null)!.given!
  const text = (says: string) => ({ about, says: `${whose(connection)} ${says}`, at: openedAt })
  if (given.epoch !== first.epoch) yield text(`is told another epoch, and the journal is the same`)
  if (asked === null) {
    if (given.recovered) yield text('is called recovered, and it did not resume')
  } else if (!given.recovered) {
    yield text(`is not recovered from ${asked.seq}, and the journal has everything`)
  } else if (given.seq !== asked.seq) yield text(`resumes at ${given.seq}, asked for ${asked.seq}`)
}

function* durableProblems(connection: Connection, log: readonly Frame[]): Iterable<Problem> {
  const { client, events, given } = connection
  const durable = events.filter(({ frame }) => frame.seq !== undefined)
  let next = log.findIndex(({ seq }) => seq > given!.seq)
  let previous = given!.seq
  for (const { at, frame } of durable) {
    const expected = next < 0 ? undefined : log[next]
    next++
    if (frame.seq === expected?.seq) {
      if (!isDeepStrictEqual(frame, expected)) {
        yield {
          at,
          about: [client],
          says: `${whose(connection)} saw another event at ${frame.seq} than the log has`,
        }
      }
      previous = frame.seq
      continue
    }
    const says =
      frame.seq <= previous
        ? `saw ${frame.seq} after ${previous}: twice, or out of order`
        : log.some(({ seq }) => seq === frame.seq)
          ? `saw ${frame.seq} after ${previous}, without ${expected?.seq}: a gap`
          : `saw ${frame.seq} (${frame.event}), which the journal does not have`
    yield { at, about: [client, frame.payload?.runId ?? ''], says: `${whose(connection)} ${says}` }
    return
  }
}

/** Starts and deltas of a run come between its message and its end, and no other run of its session comes between. */
function* passingProblems(connection: Connection, all: Facts): Iterable<Problem> {
  const running = new Map<string, string>()
  const ended = new Set<string>()
  const steered = new Map<string, string>()
  let life = connection.life
  for (const seen of connection.events) {
    const { event, sessionKey, payload } = seen.frame
    if (connection.life === EVERY_LIFE) {
      const now = all.history.lives.findLast(({ startedAt }) => startedAt <= seen.at)!.n
      // What a kill cut off need not be the first to begin again: something more urgent may have come.
      if (now !== life) running.clear()
      life = now
    }
    const runId = payload?.runId as string | undefined
    if (runId === undefined) continue
    if (isFinal(seen.frame)) {
      if (all.facts.get(runId)!.retries.length === 0) ended.add(runId)
      if (running.get(sessionKey) === runId) running.delete(sessionKey)
      const into = steered.get(runId)
      const isCertain = into !== undefined && connection.life !== EVERY_LIFE
      if (isCertain && payload.mergedInto !== into) yield astray(seen, into)
    } else if (event === 'agent.steered') {
      steered.set(runId, payload.mergedInto)
    } else if (event === 'agent.started' || event === 'agent.delta') {
      const other = running.get(sessionKey) ?? runId
      if (ended.has(runId)) yield late(connection, seen)
      else if (other !== runId) yield overlap(connection, seen, other)
      if (event === 'agent.started') running.set(sessionKey, runId)
    }
  }
}

const late = (connection: Connection, { at, frame }: Seen): Problem => ({
  at,
  about: [frame.payload.runId, connection.client],
  says: `${whose(connection)} saw ${frame.event} of ${frame.payload.runId} after its end`,
})

const astray = ({ at, frame }: Seen, into: string): Problem => ({
  at,
  about: [frame.payload.runId, into],
  says: `${frame.payload.runId} was handed to ${into}, and ended otherwise: ${frame.event}`,
})

const overlap = (connection: Connection, { at, frame }: Seen, other: string): Problem => ({
  at,
  about: [frame.payload.runId, other],
  says: `${whose(connection)} saw ${frame.event} of ${frame.payload.runId} while ${other} ran`,
})
