import type { FastifyInstance } from 'fastify'
import type { TokenChoice } from '../../src/auth/issued-tokens.js'
import { pageOf } from '../../src/auth/position.js'
import type { Principal } from '../../src/auth/principal.js'
import { covers, grant, requireUnconfined } from '../../src/auth/rights.js'
import { AUTO_NAME } from '../../src/auth/tokens.js'
import {
  auditList,
  devicesList,
  devicesRevoke,
  GatewayError,
  type TokenInfo,
  tokensList,
  tokensNew,
  tokensRevoke,
  tokensRotate,
} from '../../src/protocol/index.js'

const DEFAULT_OVERLAP_MS = 86_400_000
const DEFAULT_PAGE = 50

/** `tokens.*`, `devices.*` and `audit.*`. */
export default async function identityMethods(app: FastifyInstance): Promise<void> {
  const { auth, tokens, devices, audit } = app

  app.method(tokensNew, async ({ name, expiresInMs = null, ...wanted }, context) => {
    const rights = grant(wanted, context.principal)
    const issued = await tokens.issue(name, rights, context.principal, expiresInMs)
    context.target = { ...context.target, tokenId: issued.token.tokenId }
    return { ...issued, enforced: auth.enabled }
  })

  app.method(tokensList, (params, { principal }) => {
    const configured = auth.identities.configured.principals
      .filter(({ scopes, sessions }) => covers(principal, { scopes: [...scopes], sessions }))
      .map(describeConfigured)
    const all = [...tokens.list(principal), ...configured]
    const { page, nextCursor } = pageOf(all, placeOf, params)
    return { tokens: page, nextCursor }
  })

  app.method(tokensRevoke, async (given, context) => {
    const tokenId = await tokens.revoke(readChoice(given), context.principal)
    context.target = { ...context.target, tokenId }
    return { revoked: true as const, tokenId }
  })

  app.method(tokensRotate, async ({ overlapMs = DEFAULT_OVERLAP_MS, ...given }, context) => {
    const rotated = await tokens.rotate(readChoice(given), overlapMs, context.principal)
    context.target = { ...context.target, tokenId: rotated.token.tokenId }
    return rotated
  })

  app.method(devicesList, (params, { principal }) => {
    const all = devices?.list(principal, countConnections) ?? []
    const { page, nextCursor } = pageOf(all, ({ approvedAt: at, deviceId: id }) => ({ at, id }), params)
    return { devices: page, nextCursor }
  })

  app.method(devicesRevoke, async ({ deviceId }, { principal }) => {
    if (!devices?.isApproved(deviceId)) throw new GatewayError('NOT_FOUND', 'There is no such device.')
    await devices.remove(deviceId, principal)
    return { revoked: true as const }
  })

  app.method(auditList, (params, { principal }) => {
    requireUnconfined(principal)
    return audit.list({ ...params, limit: params.limit ?? DEFAULT_PAGE })
  })

  function countConnections(principals: ReadonlySet<Principal>): number {
    let count = 0
    for (const { state, principal } of app.connections) {
      if (state === 'open' && principals.has(principal)) count++
    }
    return count
  }
}

/** The configured ones come last. */
function placeOf({ createdAt, tokenId, name }: TokenInfo) {
  return { at: createdAt ?? 0, id: tokenId ?? name }
}

function readChoice({ tokenId, name }: TokenChoice): TokenChoice {
  if ((tokenId === undefined) !== (name === undefined)) return { tokenId, name }
  const path = 'params.tokenId'
  const expected = 'either a tokenId or a name'
  throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

function describeConfigured({ name, role, scopes, sessions, expiresAt }: Principal): TokenInfo {
  return {
    tokenId: null,
    name,
    source: name === AUTO_NAME ? 'auto' : 'config',
    role,
    scopes: [...scopes],
    sessions: sessions === null ? null : [...sessions],
    createdAt: null,
    createdBy: null,
    expiresAt,
    lastUsedAt: null,
    rotatedAt: null,
    previousUntil: null,
  }
}
