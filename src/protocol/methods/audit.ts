import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { AuditEntry } from '../identity.js'
import { Cursor, NextCursor, PageLimit, Timestamp } from '../primitives.js'

export const auditList = contract({
  name: 'audit.list',
  summary:
    'What was done to the gateway and by whom, newest first; not for tokens that are confined to sessions. ' +
    'With filters a page may have fewer entries than `limit`, or none, and still be followed by others.',
  scope: 'admin',
  large: true,
  params: Type.Object({
    principal: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    method: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    since: Type.Optional(Timestamp),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: Type.Object({ entries: Type.Array(AuditEntry), nextCursor: NextCursor }),
})
