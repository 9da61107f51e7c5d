import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { grantParams } from '../identity.js'
import { AnyPairing, Pairing } from '../pairing.js'

const choice = {
  code: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 32,
      description: 'What the stranger or the device was told; case does not matter.',
    }),
  ),
  channel: Type.Optional(Type.String({ minLength: 1, maxLength: 32, description: 'Together with `peer`.' })),
  peer: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  requestId: Type.Optional(
    Type.String({ minLength: 1, maxLength: 128, description: 'The request of a device.' }),
  ),
}

export const pairingList = contract({
  name: 'pairing.list',
  summary:
    'Who asks to be let in, who was, and who was refused lately. Devices that ask are told to administrators only; those that were let in are in `devices.list`.',
  scope: 'read',
  params: Type.Object({ state: Type.Optional(Pairing.properties.state) }),
  result: Type.Object({ pairings: Type.Array(AnyPairing) }),
})

export const pairingApprove = contract({
  name: 'pairing.approve',
  summary:
    'Lets someone in who asked, named by the code, by channel and peer, or by the request. `NOT_FOUND` once that has expired. A device gets the rights that are named here, at most those of the caller.',
  scope: 'admin',
  params: Type.Object({
    ...choice,
    ...grantParams,
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Of a device. Default: as it calls itself.' }),
    ),
    group: Type.Optional(
      Type.Boolean({ description: 'Let in everyone of the group where they asked instead. Default: false.' }),
    ),
  }),
  result: Type.Object({ pairing: AnyPairing }),
})

export const pairingReject = contract({
  name: 'pairing.reject',
  summary:
    'Refuses someone who asked, or shuts out someone who was let in; they cannot ask again for `channels.pairing.rejectedMs`.',
  scope: 'admin',
  params: Type.Object(choice),
  result: Type.Object({ rejected: Type.Literal(true) }),
})
