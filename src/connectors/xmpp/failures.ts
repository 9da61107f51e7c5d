import { GatewayError } from '../../protocol/errors.js'
import type { Stanza } from './stanzas.js'

const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas'
/** What asks for patience does not say for how long. */
const PATIENCE_MS = 10_000

const NOT_THERE = new Set([
  'gone',
  'item-not-found',
  'jid-malformed',
  'recipient-unavailable',
  'remote-server-not-found',
  // What servers say of an account that does not exist, so as not to tell (RFC 6121 §8.5.1).
  'service-unavailable',
])

/** `item-not-found` and the like, with the server's explanation where there is one (RFC 6120 §8.3). */
export function conditionOf(stanza: Stanza): { condition: string; type: string; text: string } {
  const error = stanza.getChild('error')
  const children = error?.getChildElements() ?? []
  const condition = children.find((child) => child.name !== 'text' && child.getNS() === NS_STANZAS)
  return {
    condition: condition?.name ?? 'undefined-condition',
    type: String(error?.attrs.type ?? 'cancel'),
    text: error?.getChildText('text') ?? '',
  }
}

/** What an error that answers our message means. */
export function refusal(stanza: Stanza): GatewayError {
  const { condition, type, text } = conditionOf(stanza)
  const message = `The XMPP server refused the message (${condition}${text && `, “${text.slice(0, 200)}”`}).`
  if (condition === 'policy-violation' && type === 'wait') {
    return new GatewayError('RATE_LIMITED', message, { retryAfterMs: PATIENCE_MS })
  }
  if (type === 'wait') return new GatewayError('UNAVAILABLE', message)
  return new GatewayError(NOT_THERE.has(condition) ? 'NOT_FOUND' : 'FORBIDDEN', message)
}

const hasCondition = (error: Error): error is Error & { condition: string } =>
  'condition' in error && typeof error.condition === 'string'

/** Why a connection could not be made or was lost: a SASL error, a stream error, or one of the socket. */
export function lost(error: Error): GatewayError {
  if (error instanceof GatewayError) return error
  if (error.name === 'SASLError') {
    const condition = hasCondition(error) ? error.condition : ''
    const message = `The XMPP server refused the login (${condition}).`
    return new GatewayError(condition === 'temporary-auth-failure' ? 'UNAVAILABLE' : 'UNAUTHORIZED', message)
  }
  if (error.name === 'StreamError' && hasCondition(error)) {
    const message = `The XMPP server closed the connection (${error.condition}).`
    // Both would end each other for ever.
    if (error.condition === 'conflict') return new GatewayError('CONFLICT', message)
    if (error.condition === 'not-authorized') return new GatewayError('UNAUTHORIZED', message)
    return new GatewayError('UNAVAILABLE', message)
  }
  const reason = 'code' in error ? String(error.code) : error.message
  return new GatewayError('UNAVAILABLE', `The connection to the XMPP server is gone (${reason}).`, {
    cause: error,
  })
}
