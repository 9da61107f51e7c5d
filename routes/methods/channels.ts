import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Principal } from '../../src/auth/principal.js'
import { touchesChannel } from '../../src/auth/rights.js'
import { sessionKeyOf, targetOf } from '../../src/connectors/address.js'
import type { Channel } from '../../src/connectors/channel.js'
import { newDeliveryId } from '../../src/journal/ids.js'
import type { NewDelivery } from '../../src/journal/outbox.js'
import {
  channelsList,
  channelsSend,
  channelsStart,
  channelsStatus,
  channelsStop,
  GatewayError,
} from '../../src/protocol/index.js'

/** `channels.*`. */
export default async function channelMethods(app: FastifyInstance): Promise<void> {
  const { channels, deliverer } = app

  app.method(channelsList, (_params, { principal }) => ({
    channels: channels.statuses().filter(({ channel }) => touchesChannel(principal, channel)),
  }))

  app.method(channelsStatus, ({ channel }, { principal }) => {
    const found = channels.require(channel)
    if (!touchesChannel(principal, channel)) throw notCovered(channel)
    return { channel: found.status() }
  })

  app.method(channelsStart, ({ channel }, { principal }) => {
    const found = requireWhole(channel, principal)
    found.start()
    return { channel: found.status() }
  })

  app.method(channelsStop, async ({ channel }, { principal }) => {
    const found = requireWhole(channel, principal)
    await found.stop()
    return { channel: found.status() }
  })

  app.method(channelsSend, async ({ text = '', attachments, wait, idempotencyKey, ...given }, context) => {
    const { channel, peer, thread } = addressOf(given, context.sessionKey)
    const { entry } = channels.require(channel)
    const sessionKey = sessionKeyOf(channel, { peer, thread })
    if (!context.principal.allowsSession(sessionKey)) {
      throw new GatewayError('FORBIDDEN', 'These credentials do not cover that session.', {
        details: { sessionKey },
      })
    }
    const hasAttachments = attachments !== undefined && attachments.length > 0
    if (text.trim() === '' && !hasAttachments) throw invalid('params.text', 'text, or attachments')
    if (hasAttachments && !entry.connector.capabilities.attachments) {
      throw invalid('params.attachments', 'none: this channel takes no attachments')
    }
    const content = hasAttachments ? { text, attachments } : { text }
    const id = newDeliveryId()
    const at = Date.now()
    const delivery = { id, channel, peer, thread, sessionKey, at, content, ...context.trace }
    const deliveryId = await enqueue(delivery, idempotencyKey)
    // Whoever waits in vain is to know that it is on disk.
    context.done = { deliveryId }
    if (wait) await deliverer.wait(deliveryId, context.signal)
    const sent = { deliveryId, sessionKey, delivered: wait === true }
    return deliveryId === id ? sent : { ...sent, duplicate: true }
  })

  /** The id of what is said: of an earlier delivery where the key stands for one. @throws `CONFLICT` where that says something else. */
  async function enqueue(delivery: NewDelivery, key: string | undefined): Promise<string> {
    if (key === undefined) {
      await deliverer.enqueue([delivery])
      return delivery.id
    }
    const digest = createHash('sha256').update(JSON.stringify(delivery.content)).digest('base64url')
    const before = await deliverer.enqueueOnce(delivery, { key, digest })
    if (before === null || before.digest === digest) return before?.id ?? delivery.id
    throw new GatewayError('CONFLICT', 'This idempotency key was used for another message.', {
      details: { deliveryId: before.id },
    })
  }

  /** Whoever starts or stops it does so for all of its sessions. */
  function requireWhole(channel: string, principal: Principal): Channel {
    const found = channels.require(channel)
    if (principal.allowsSession(`${channel}:*`)) return found
    throw notCovered(channel)
  }
}

function notCovered(channel: string): GatewayError {
  return new GatewayError('FORBIDDEN', 'These credentials do not cover that channel.', {
    details: { channel },
  })
}

interface Address {
  channel?: string
  peer?: string
  thread?: string
}

function addressOf({ channel, peer, thread }: Address, sessionKey: string | null) {
  if (channel !== undefined && peer !== undefined) return { channel, peer, thread: thread ?? null }
  if (channel !== undefined || peer !== undefined || sessionKey === null) {
    throw invalid('params.channel', '`channel` and `peer`, or a sessionKey on the request')
  }
  const target = targetOf(sessionKey)
  if (target !== null) return target
  throw invalid('sessionKey', 'the key of a conversation on a channel, such as telegram:123456789:main')
}

function invalid(path: string, expected: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
