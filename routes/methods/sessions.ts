import type { FastifyInstance } from 'fastify'
import {
  MESSAGE_RECEIVED,
  sessionsCreate,
  sessionsDelete,
  sessionsExport,
  sessionsGet,
  sessionsHistory,
  sessionsList,
  sessionsPatch,
  sessionsReset,
  sessionsSearch,
  sessionsSend,
} from '../../src/protocol/index.js'

/** `sessions.*`. */
export default async function sessionMethods(app: FastifyInstance): Promise<void> {
  const { sessions, conversations, intake, outcomes, hooks } = app

  app.method(sessionsList, (params, { principal }) => sessions.list(principal, params))

  app.method(sessionsGet, async (_params, { sessionKey }) => ({
    session: sessions.summary(await sessions.require(sessionKey!)),
  }))

  app.method(sessionsHistory, (params, { sessionKey }) => conversations.history(sessionKey!, params))

  app.method(sessionsSearch, (params, { principal, sessionKey }) =>
    conversations.search(principal, { ...params, sessionKey: sessionKey ?? undefined }),
  )

  app.method(sessionsExport, ({ cursor }, { sessionKey }) => conversations.export(sessionKey!, cursor))

  app.method(sessionsCreate, async (params, { sessionKey }) => ({
    session: await sessions.create(sessionKey!, params),
  }))

  app.method(sessionsPatch, async (params, { sessionKey }) => ({
    session: await sessions.patch(sessionKey!, params),
  }))

  app.method(sessionsReset, async (_params, { sessionKey }) => {
    const session = await sessions.reset(sessionKey!)
    hooks.emit({ name: 'command:reset', sessionKey, source: 'ws' })
    return { session }
  })

  app.method(sessionsDelete, async (_params, { sessionKey }) => {
    await sessions.delete(sessionKey!)
    return { deleted: true as const }
  })

  app.method(
    sessionsSend,
    async ({ wait, priority, idempotencyKey, content, attachments, metadata }, context) => {
      const { principal, sessionKey, connection } = context
      const accepted = await intake.accept(
        {
          type: MESSAGE_RECEIVED,
          source: 'ws',
          sessionKey: sessionKey!,
          payload: { content, attachments, metadata, sender: principal.name },
          priority,
          idempotencyKey,
          origin: connection.id,
          ...context.trace,
        },
        principal,
      )
      if (!wait) return accepted
      // Whoever waits in vain, because the gateway stops or by a `cancel`, is to know that the message is on disk.
      context.done = { accepted }
      return { ...accepted, outcome: await outcomes.wait(accepted.runId, context.signal, () => true) }
    },
  )
}
