import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Device } from '../identity.js'
import { Cursor, Id, NextCursor, PageLimit } from '../primitives.js'

export const devicesList = contract({
  name: 'devices.list',
  summary: 'The devices that were let in, newest first, as far as their rights are not beyond the caller’s.',
  scope: 'admin',
  large: true,
  params: Type.Object({ limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({ devices: Type.Array(Device), nextCursor: NextCursor }),
})

export const devicesRevoke = contract({
  name: 'devices.revoke',
  summary: 'Shuts a device out: its key and its token end, and its connections with them (close 4401).',
  scope: 'admin',
  params: Type.Object({ deviceId: Id }),
  result: Type.Object({ revoked: Type.Literal(true) }),
})
