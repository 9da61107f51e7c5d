import { type Static, Type } from '@sinclair/typebox'
import { Timestamp } from './primitives.js'

/** Someone who asked to be let in, or was. */
export const Pairing = Type.Object(
  {
    kind: Type.Literal('peer', { description: 'Someone who writes on a channel.' }),
    state: Type.Union([Type.Literal('pending'), Type.Literal('approved'), Type.Literal('rejected')]),
    channel: Type.String(),
    peer: Type.String({ description: 'The id of the person or group, as the platform names it.' }),
    name: Type.Union([Type.String(), Type.Null()]),
    code: Type.Union([Type.String(), Type.Null()], {
      description: 'What the stranger was told; null once that is decided, and for who may not approve.',
    }),
    requestedAt: Timestamp,
    expiresAt: Type.Union([Timestamp, Type.Null()], {
      description:
        'Until when the code can be approved, or until when who was refused cannot ask again; else null.',
    }),
    approvedAt: Type.Union([Timestamp, Type.Null()]),
    approvedBy: Type.Union([Type.String(), Type.Null()], { description: 'The principal that approved.' }),
  },
  { $id: 'Pairing' },
)
export type Pairing = Static<typeof Pairing>

const text = Type.Union([Type.String(), Type.Null()])
const time = Type.Union([Timestamp, Type.Null()])

/** A device that asked to be let in, or was. */
export const DevicePairing = Type.Object(
  {
    kind: Type.Literal('device', { description: 'Something with a key of its own.' }),
    state: Type.Union([Type.Literal('pending'), Type.Literal('approved')]),
    requestId: Type.String(),
    deviceId: Type.String({ description: 'Made from its public key.' }),
    name: Type.String(),
    clientId: Type.String(),
    platform: Type.String(),
    address: Type.String({ description: 'From where it asked.' }),
    code: Type.Union([Type.String(), Type.Null()], {
      description: 'What the device was told, to be compared; null once it was approved.',
    }),
    requestedAt: Timestamp,
    expiresAt: time,
    approvedAt: time,
    approvedBy: text,
  },
  { $id: 'DevicePairing' },
)
export type DevicePairing = Static<typeof DevicePairing>

export const AnyPairing = Type.Union([Pairing, DevicePairing])
export type AnyPairing = Static<typeof AnyPairing>
