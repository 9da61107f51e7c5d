import { type Static, Type } from '@sinclair/typebox'
import { ErrorShape } from './errors.js'
import { Timestamp } from './primitives.js'

/** `waiting`: the connection failed and is tried again; `failed`: it is not, until someone starts the channel. */
export const ChannelState = Type.Union([
  Type.Literal('stopped'),
  Type.Literal('connecting'),
  Type.Literal('connected'),
  Type.Literal('waiting'),
  Type.Literal('failed'),
])
export type ChannelState = Static<typeof ChannelState>

/** How a connector is doing. */
export const ChannelStatus = Type.Object(
  {
    channel: Type.String({ description: 'The first segment of its session keys.' }),
    connector: Type.String({ description: 'Its name in the configuration.' }),
    type: Type.String(),
    state: ChannelState,
    since: Timestamp,
    identity: Type.Union([Type.String(), Type.Null()], {
      description: 'Who the gateway is on the platform, once that is known.',
    }),
    error: Type.Union([ErrorShape, Type.Null()], {
      description:
        'Why it is not connected; with `connected`: what does not work all the same, such as a room that is closed to us, or why the newest message was refused for good.',
    }),
    retryInMs: Type.Optional(
      Type.Integer({ minimum: 0, description: 'With `waiting`: until the next attempt, as of `since`.' }),
    ),
    pending: Type.Integer({ minimum: 0, description: 'Deliveries that wait for it.' }),
  },
  { $id: 'Channel' },
)
export type ChannelStatus = Static<typeof ChannelStatus>
