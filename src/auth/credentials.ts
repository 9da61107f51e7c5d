import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../protocol/errors.js'

/** The WebSocket subprotocol to offer, and to have selected, beside `bearer.<token>`. */
export const SUBPROTOCOL = 'lurkbot.v1'
const BEARER_PROTOCOL = 'bearer.'

/**
 * The secret that a request carries: `Authorization: Bearer x`, or the WebSocket subprotocol `bearer.x` (for browsers,
 * which cannot set headers). Null: none; another `Authorization` scheme is a proxy's business. A query string is never
 * read: it ends in histories and access logs.
 *
 * @throws GatewayError UNAUTHORIZED when it carries several that differ: which one a proxy in between has checked is
 *   unknown; or a Bearer without a token.
 */
export function readCredentials(
  headers: Pick<IncomingHttpHeaders, 'authorization' | 'sec-websocket-protocol'>,
): string | null {
  const found = new Set<string>()
  const header = headers.authorization?.trim() ?? ''
  if (/^bearer(?: |$)/i.test(header)) {
    const token = header.slice('bearer'.length).trim()
    if (token === '' || token.includes(' ')) {
      throw new GatewayError('UNAUTHORIZED', 'Authorization: expected Bearer and one token.')
    }
    found.add(token)
  }
  for (const protocol of headers['sec-websocket-protocol']?.split(',') ?? []) {
    const token = bearerOf(protocol.trim())
    if (token !== null) found.add(token)
  }
  if (found.size > 1) {
    throw new GatewayError('UNAUTHORIZED', 'The request carries several different credentials.')
  }
  return found.values().next().value ?? null
}

/**
 * The subprotocol to answer with, for `handleProtocols` of `ws`; false: none. A token should not come back in a
 * response header, so `lurkbot.v1` is preferred; but a browser ends a connection for which none of the subprotocols
 * that it offered was selected, so a client that offers nothing but `bearer.<token>` gets it back.
 */
export function selectProtocol(protocols: ReadonlySet<string>): string | false {
  if (protocols.has(SUBPROTOCOL)) return SUBPROTOCOL
  for (const protocol of protocols) {
    if (bearerOf(protocol) !== null) return protocol
  }
  return false
}

function bearerOf(protocol: string): string | null {
  const isBearer = protocol.length > BEARER_PROTOCOL.length && protocol.startsWith(BEARER_PROTOCOL)
  return isBearer ? protocol.slice(BEARER_PROTOCOL.length) : null
}

/** Whether Node treats the request as a WebSocket upgrade (RFC 6455 §4.2.1) rather than as plain HTTP. */
export function isWebSocketUpgrade(headers: IncomingHttpHeaders): boolean {
  return (
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.connection ?? '')
  )
}
