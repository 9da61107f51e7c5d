import { type ErrorCode, GatewayError } from '../../protocol/errors.js'

/** MQTT 5, 2.4, and the return codes of MQTT 3.1.1 with which old brokers refuse. */
const REFUSALS: Record<number, readonly [ErrorCode, string]> = {
  1: ['INVALID_REQUEST', 'does not speak MQTT 5'],
  2: ['INVALID_REQUEST', 'does not accept the clientId'],
  4: ['UNAUTHORIZED', 'refused the user name or password'],
  5: ['UNAUTHORIZED', 'refused the user name or password'],
  132: ['INVALID_REQUEST', 'does not speak MQTT 5'],
  133: ['INVALID_REQUEST', 'does not accept the clientId'],
  134: ['UNAUTHORIZED', 'refused the user name or password'],
  135: ['FORBIDDEN', 'does not allow this topic'],
  138: ['FORBIDDEN', 'has banned this client'],
  140: ['UNAUTHORIZED', 'wants another way to log in'],
  143: ['INVALID_REQUEST', 'does not accept the topic filter'],
  144: ['INVALID_REQUEST', 'does not accept the topic'],
  149: ['INVALID_REQUEST', 'finds the message too long'],
  150: ['RATE_LIMITED', 'gets messages too fast'],
  151: ['RATE_LIMITED', 'has no room for more'],
  153: ['INVALID_REQUEST', 'does not accept the payload'],
  155: ['INVALID_REQUEST', 'does not support QoS 1'],
  158: ['INVALID_REQUEST', 'does not support shared subscriptions'],
  159: ['RATE_LIMITED', 'gets connections too fast'],
  162: ['INVALID_REQUEST', 'does not support wildcards'],
}

const UNKNOWN = ['UNAVAILABLE', 'cannot do this now'] as const

/** What a reason code in a PUBACK or SUBACK means. */
export function refusal(reasonCode: number, meaning = REFUSALS[reasonCode] ?? UNKNOWN): GatewayError {
  const [code, what] = meaning
  return new GatewayError(code, `The broker ${what} (reason code ${reasonCode}).`, {
    details: { reasonCode },
  })
}

/** Why there is no connection: the CONNACK that refused it, or the network's error. */
export function connectFailure(error: Error & { code?: number | string }): GatewayError {
  const { code } = error
  if (typeof code !== 'number') return lost(error)
  // 'Not authorized' is about who we are here, not about a topic.
  return code === 135 ? refusal(code, REFUSALS[134]) : refusal(code)
}

/** The broker ended the connection with a DISCONNECT. */
export function disconnected(reasonCode = 0): GatewayError {
  const details = { reasonCode }
  // Coming back would throw out the other one, which would throw us out in turn.
  if (reasonCode === 142) {
    return new GatewayError('CONFLICT', 'Another client took over the clientId.', { details })
  }
  return new GatewayError('UNAVAILABLE', `The broker ended the connection (reason code ${reasonCode}).`, {
    details,
  })
}

/** The message of a network's error may hold the URL; its code does not. */
export function lost(error?: Error & { code?: number | string }): GatewayError {
  const why = typeof error?.code === 'string' ? ` (${error.code})` : ''
  return new GatewayError('UNAVAILABLE', `There is no connection to the broker${why}.`, { cause: error })
}
