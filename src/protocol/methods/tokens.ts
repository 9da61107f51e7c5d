import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { grantParams, TokenChoice, TokenInfo, TokenName } from '../identity.js'
import { Cursor, NextCursor, PageLimit } from '../primitives.js'

/** Ten years. */
const MAX_LIFETIME_MS = 315_360_000_000
/** 30 days. */
const MAX_OVERLAP_MS = 2_592_000_000

const secret = Type.String({ description: 'The token itself. It is told this once and kept nowhere.' })

export const tokensNew = contract({
  name: 'tokens.new',
  summary:
    'Makes a token with no more rights than the caller’s. `CONFLICT` when the name is taken, `UNAVAILABLE` when there are too many.',
  scope: 'admin',
  params: Type.Object({
    name: TokenName,
    ...grantParams,
    expiresInMs: Type.Optional(
      Type.Integer({ minimum: 1_000, maximum: MAX_LIFETIME_MS, description: 'Default: it does not expire.' }),
    ),
  }),
  result: Type.Object({
    token: TokenInfo,
    secret,
    enforced: Type.Boolean({
      description: 'False: authentication is off, so that nobody needs a token at all.',
    }),
  }),
})

export const tokensList = contract({
  name: 'tokens.list',
  summary:
    'The tokens, newest first and without their secrets, as far as their rights are not beyond the caller’s.',
  scope: 'admin',
  large: true,
  params: Type.Object({ limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) }),
  result: Type.Object({ tokens: Type.Array(TokenInfo), nextCursor: NextCursor }),
})

export const tokensRevoke = contract({
  name: 'tokens.revoke',
  summary: 'Ends a token that `tokens.new` made, and every connection that came with it (close 4401).',
  scope: 'admin',
  params: Type.Object(TokenChoice),
  result: Type.Object({ revoked: Type.Literal(true), tokenId: Type.String() }),
})

export const tokensRotate = contract({
  name: 'tokens.rotate',
  summary:
    'Gives a token a new secret. The one before stays good for `overlapMs`, then ends with its connections; one from before that ends at once.',
  scope: 'admin',
  params: Type.Object({
    ...TokenChoice,
    overlapMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: MAX_OVERLAP_MS, description: 'Default: 86400000 (24 h).' }),
    ),
  }),
  result: Type.Object({ token: TokenInfo, secret }),
})
