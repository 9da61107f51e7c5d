import type { FastifyInstance } from 'fastify'
import type { Principal } from '../../src/auth/principal.js'
import {
  deadLettersDiscard,
  deadLettersList,
  deadLettersRetry,
  GatewayError,
  lanesGet,
  lanesList,
  lanesPause,
  lanesResume,
} from '../../src/protocol/index.js'
import { decodeSeqCursor } from '../../src/sessions/cursor.js'

const DEFAULT_PAGE = 50

/** `lanes.*` and `deadLetters.*`. */
export default async function laneMethods(app: FastifyInstance): Promise<void> {
  const { lanes, journal } = app

  app.method(lanesList, ({ limit = DEFAULT_PAGE, ...query }, { principal }) =>
    lanes.list({ limit, ...query }, (key) => principal.allowsSession(key)),
  )

  app.method(lanesGet, ({ limit = DEFAULT_PAGE, cursor }, { sessionKey }) =>
    lanes.inspect(sessionKey!, { limit, cursor }),
  )

  app.method(lanesPause, (_params, { sessionKey }) => lanes.pause(sessionKey!))

  app.method(lanesResume, (_params, { sessionKey }) => lanes.resume(sessionKey!))

  app.method(deadLettersList, async ({ limit = DEFAULT_PAGE, cursor }, { principal, sessionKey }) => {
    const letters = await journal.deadLetters({
      sessionKey: sessionKey ?? undefined,
      accept: (key) => principal.allowsSession(key),
      limit: limit + 1,
      after: cursor === undefined ? undefined : decodeSeqCursor(cursor),
    })
    const page = letters.slice(0, limit)
    return {
      deadLetters: page,
      nextCursor: letters.length > limit ? String(page[page.length - 1]!.event.seq) : null,
    }
  })

  app.method(deadLettersRetry, async ({ eventId }, { principal }) => {
    const { event } = await requireLetter(eventId, principal)
    if (!(await journal.revive(eventId))) throw notFound(eventId)
    return { eventId, runId: event.runId, seq: event.seq, queued: lanes.restore(event) }
  })

  app.method(deadLettersDiscard, async ({ eventId }, { principal }) => {
    await requireLetter(eventId, principal)
    if (!(await journal.discard(eventId))) throw notFound(eventId)
    return { discarded: true as const }
  })

  async function requireLetter(eventId: string, principal: Principal) {
    const letter = await journal.deadLetter(eventId)
    if (letter === null || !principal.allowsSession(letter.event.sessionKey)) throw notFound(eventId)
    return letter
  }
}

function notFound(eventId: string): GatewayError {
  return new GatewayError('NOT_FOUND', 'There is no such dead letter.', { details: { eventId } })
}
