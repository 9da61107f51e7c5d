import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import type { Selection } from '../../src/events/broadcaster.js'
import { eventsPublish, eventsSubscribe, eventsUnsubscribe, GatewayError } from '../../src/protocol/index.js'

const MAX_SUBSCRIPTIONS = 256

interface SelectionParams {
  patterns?: string[]
  sessionKeys?: string[]
}

const toSelection = ({ patterns = ['*'], sessionKeys }: SelectionParams): Selection => ({
  patterns,
  sessionKeys: sessionKeys ?? null,
})

const toResult = (selections: readonly Selection[]) => ({
  subscriptions: selections.map(({ patterns, sessionKeys }) => ({
    patterns: [...patterns],
    sessionKeys: sessionKeys === null ? null : [...sessionKeys],
  })),
})

/** `events.*`. */
export default async function eventMethods(app: FastifyInstance): Promise<void> {
  const { events } = app

  app.method(eventsSubscribe, (params, { connection, principal }) => {
    const refused = params.sessionKeys?.find((key) => !principal.allowsSession(key))
    if (refused !== undefined) {
      throw new GatewayError('FORBIDDEN', 'These credentials do not cover that session.', {
        details: { sessionKey: refused },
      })
    }
    const before = connection.subscribedByDefault ? [] : events.selections(connection)
    if (before.length >= MAX_SUBSCRIPTIONS) {
      throw new GatewayError('UNAVAILABLE', `A connection may have ${MAX_SUBSCRIPTIONS} subscriptions.`, {
        retryable: false,
      })
    }
    events.subscribe(connection, [...before, toSelection(params)])
    connection.subscribedByDefault = false
    return toResult(events.selections(connection))
  })

  app.method(eventsUnsubscribe, (params, { connection }) => {
    const before = events.selections(connection)
    const gone = toSelection(params)
    const all = params.patterns === undefined && params.sessionKeys === undefined
    const kept = all ? [] : before.filter((selection) => !isDeepStrictEqual(selection, gone))
    if (all || kept.length < before.length) {
      events.subscribe(connection, kept)
      connection.subscribedByDefault = false
    }
    return toResult(kept)
  })

  app.method(
    eventsPublish,
    ({ source = 'ws', ...incoming }, { principal, sessionKey, connection, trace }) => {
      // It says who vouches for the event, such as for who wrote a message: a channel's connector alone does for its own.
      if (app.deliverer.isChannel(source) && !principal.scopes.has('admin')) {
        throw new GatewayError(
          'FORBIDDEN',
          `'${source}' is a channel: what comes from there comes in by its connector.`,
          {
            details: { source },
          },
        )
      }
      const origin = connection.id
      return app.intake.accept({ ...incoming, source, sessionKey: sessionKey!, origin, ...trace }, principal)
    },
  )
}
