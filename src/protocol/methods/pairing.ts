import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Pairing } from '../pairing.js'

const choice = {
  code: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 32,
      description: 'What the stranger was told; case does not matter.',
    }),
  ),
  channel: Type.Optional(Type.String({ minLength: 1, maxLength: 32, description: 'Together with `peer`.' })),
  peer: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
}

export const pairingList = contract({
  name: 'pairing.list',
  summary: 'Who asks to be let in, who was, and who was refused lately.',
  scope: 'read',
  params: Type.Object({ state: Type.Optional(Pairing.properties.state) }),
  result: Type.Object({ pairings: Type.Array(Pairing) }),
})

export const pairingApprove = contract({
  name: 'pairing.approve',
  summary:
    'Lets someone in who asked, named by the code or by channel and peer. `NOT_FOUND` once the code has expired.',
  scope: 'admin',
  params: Type.Object({
    ...choice,
    group: Type.Optional(
      Type.Boolean({ description: 'Let in everyone of the group where they asked instead. Default: false.' }),
    ),
  }),
  result: Type.Object({ pairing: Pairing }),
})

export const pairingReject = contract({
  name: 'pairing.reject',
  summary:
    'Refuses someone who asked, or shuts out someone who was let in; they cannot ask again for `channels.pairing.rejectedMs`.',
  scope: 'admin',
  params: Type.Object(choice),
  result: Type.Object({ rejected: Type.Literal(true) }),
})
