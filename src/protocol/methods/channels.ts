import { Type } from '@sinclair/typebox'
import { ChannelStatus } from '../channels.js'
import { contract } from '../contract.js'
import { Attachment } from '../events.js'
import { Id, IdempotencyKey, SessionKey } from '../primitives.js'

const channel = Type.String({
  minLength: 1,
  maxLength: 32,
  description: 'The first segment of its session keys.',
})

const params = Type.Object({ channel })
const result = Type.Object({ channel: ChannelStatus })

export const channelsList = contract({
  name: 'channels.list',
  summary: 'The channels and how they are doing.',
  scope: 'read',
  params: Type.Object({}),
  result: Type.Object({ channels: Type.Array(ChannelStatus) }),
})

export const channelsStatus = contract({
  name: 'channels.status',
  summary: 'How one channel is doing.',
  scope: 'read',
  params,
  result,
})

export const channelsStart = contract({
  name: 'channels.start',
  summary:
    'Starts a channel that is stopped or has failed; one that waits for its next attempt makes it now.',
  scope: 'admin',
  params,
  result,
})

export const channelsStop = contract({
  name: 'channels.stop',
  summary: 'Stops a channel until it is started, or the gateway is. What is to be sent waits.',
  scope: 'admin',
  params,
  result,
})

export const channelsSend = contract({
  name: 'channels.send',
  summary:
    'Says something on a channel: in the conversation of the session key, or at `channel` and `peer`. Answers once it is on disk, or with `wait` once the platform has taken it.',
  scope: 'write',
  session: 'optional',
  audited: true,
  params: Type.Object({
    channel: Type.Optional(channel),
    peer: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'As the platform names it.' }),
    ),
    thread: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    text: Type.Optional(Type.String({ maxLength: 1_000_000 })),
    attachments: Type.Optional(Type.Array(Attachment, { maxItems: 32 })),
    idempotencyKey: Type.Optional(IdempotencyKey),
    wait: Type.Optional(Type.Boolean({ description: 'Answer when it was delivered. Default: false.' })),
  }),
  result: Type.Object({
    deliveryId: Id,
    sessionKey: SessionKey,
    delivered: Type.Boolean({ description: 'False: nobody waited for it.' }),
    duplicate: Type.Optional(
      Type.Boolean({ description: 'This send was said before; nothing was said anew.' }),
    ),
  }),
})
