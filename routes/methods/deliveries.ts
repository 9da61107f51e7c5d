import type { FastifyInstance } from 'fastify'
import type { Principal } from '../../src/auth/principal.js'
import type { DeadDelivery } from '../../src/journal/outbox.js'
import { deliveriesDiscard, deliveriesList, deliveriesRetry, GatewayError } from '../../src/protocol/index.js'
import { decodeSeqCursor } from '../../src/sessions/cursor.js'

const DEFAULT_PAGE = 50

/** `deliveries.*`. */
export default async function deliveryMethods(app: FastifyInstance): Promise<void> {
  const { deliverer, journal } = app

  app.method(deliveriesList, async (params, { principal, sessionKey }) => {
    const { channel, limit = DEFAULT_PAGE, cursor } = params
    const found = await journal.deadDeliveries({
      channel,
      sessionKey: sessionKey ?? undefined,
      accept: (key) => principal.allowsSession(key),
      limit: limit + 1,
      after: cursor === undefined ? undefined : decodeSeqCursor(cursor),
    })
    const page = found.slice(0, limit)
    return {
      deliveries: page.map(describe),
      nextCursor: found.length > limit ? String(page[page.length - 1]!.seq) : null,
    }
  })

  app.method(deliveriesRetry, async ({ deliveryId }, { principal }) => {
    const queued = await deliverer.retry(await requireDead(deliveryId, principal))
    if (queued === null) throw notFound(deliveryId)
    return { deliveryId, queued }
  })

  app.method(deliveriesDiscard, async ({ deliveryId }, { principal }) => {
    await requireDead(deliveryId, principal)
    if (!(await journal.discardDelivery(deliveryId))) throw notFound(deliveryId)
    return { discarded: true as const }
  })

  async function requireDead(deliveryId: string, principal: Principal): Promise<DeadDelivery> {
    const dead = await journal.deadDelivery(deliveryId)
    if (dead === null || !principal.allowsSession(dead.sessionKey)) throw notFound(deliveryId)
    return dead
  }
}

function describe({ id, seq, content, ...delivery }: DeadDelivery) {
  const { text, attachments = [], runId = null, replyTo = null } = content
  return { deliveryId: id, ...delivery, text, attachments: [...attachments], runId, replyTo }
}

function notFound(deliveryId: string): GatewayError {
  return new GatewayError('NOT_FOUND', 'There is no such dead delivery.', { details: { deliveryId } })
}
