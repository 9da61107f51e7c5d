import type { Frame } from '../../helpers/socket.js'
import type { Problem } from './check.js'
import { type Facts, groupBy } from './facts.js'

/** `sessions.history` is what was said since the last reset: each message once, in the order of the journal. */
export function* conversationProblems(all: Facts): Iterable<Problem> {
  const bySession = groupBy(all.ending.log, ({ sessionKey }) => sessionKey as string)
  for (const [session, frames] of bySession) {
    const resets = frames.filter(
      ({ event, payload }) => event === 'session.updated' && payload.reset === true,
    )
    const since = resets.at(-1)?.seq ?? 0
    const said = frames.filter(({ event, seq }) => event === 'session.message' && seq > since)
    const given = all.ending.conversations.get(session) ?? []
    yield* compare(session, said, given)
    yield* resetProblems(session, resets.length, all)
  }
}

function* compare(session: string, said: readonly Frame[], given: readonly Frame[]): Iterable<Problem> {
  for (let i = 0; i < Math.max(said.length, given.length); i++) {
    const expected = said[i]
    const found = given[i]
    if (expected?.seq === found?.seq && expected?.payload.content === found?.content) continue
    const about = [session, expected?.payload.runId, found?.runId].filter((word) => word !== undefined)
    yield {
      about,
      says: `the history of ${session} has at place ${i} ${describe(found)}, expected ${describe(expected && { ...expected.payload, seq: expected.seq })}`,
    }
    return
  }
}

const describe = (message: Frame | undefined): string =>
  message === undefined ? 'nothing' : `${message.role} ${JSON.stringify(message.content)} (${message.seq})`

function* resetProblems(session: string, found: number, { history }: Facts): Iterable<Problem> {
  const resets = history.calls.filter(
    ({ method, sessionKey }) => method === 'sessions.reset' && sessionKey === session,
  )
  const sure = resets.filter(({ outcome }) => outcome === 'ok').length
  const most = resets.filter(({ outcome }) => outcome !== 'refused').length
  if (found < sure || found > most)
    yield { about: [session], says: `${session} was reset ${sure} to ${most} times, the log has ${found}` }
}
