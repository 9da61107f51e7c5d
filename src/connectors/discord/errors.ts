import { DiscordAPIError, HTTPError, RateLimitError } from '@discordjs/rest'
import { type ErrorCode, GatewayError } from '../../protocol/errors.js'

/** https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes */
const CODES: Record<number, ErrorCode> = {
  10003: 'NOT_FOUND', // unknown channel
  10004: 'NOT_FOUND', // unknown guild
  10008: 'NOT_FOUND', // unknown message
  10013: 'NOT_FOUND', // unknown user
  50001: 'FORBIDDEN', // missing access
  50007: 'FORBIDDEN', // cannot send messages to this user
  50008: 'FORBIDDEN', // cannot send messages in a channel that is not for text
  50013: 'FORBIDDEN', // missing permissions
  50083: 'FORBIDDEN', // the thread is archived
  50278: 'FORBIDDEN', // no server in common with this user
  160005: 'FORBIDDEN', // the thread is locked
  200000: 'FORBIDDEN', // blocked by the server's AutoMod
  240000: 'FORBIDDEN', // blocked as harmful
}

const STATUSES: Record<number, ErrorCode> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  408: 'UNAVAILABLE',
  429: 'RATE_LIMITED',
}

export const UNKNOWN_MESSAGE = 10008

/** What a call of the API failed with, as the gateway's own; without anything that could hold a token. */
export function discordError(error: unknown, what: string): GatewayError {
  if (error instanceof GatewayError) return error
  if (error instanceof RateLimitError) {
    const { retryAfter, timeToReset, sublimitTimeout } = error
    return new GatewayError('RATE_LIMITED', `Discord asks for patience: ${what}.`, {
      retryAfterMs: Math.max(0, Math.ceil(retryAfter || sublimitTimeout || timeToReset)),
    })
  }
  // Without a code it is not Discord's answer but one of a proxy before it.
  if (error instanceof DiscordAPIError && error.code !== undefined) {
    const code = CODES[Number(error.code)] ?? STATUSES[error.status] ?? 'INVALID_REQUEST'
    // The errors of a form follow in further lines.
    const reason = error.message.replace(/\s+/g, ' ').slice(0, 200)
    return new GatewayError(code, `Discord refused: ${what} (${reason}, code ${error.code || error.status}).`)
  }
  const http = error instanceof HTTPError || error instanceof DiscordAPIError
  const reason = http ? `HTTP status ${error.status}` : reasonOf(error)
  return new GatewayError('UNAVAILABLE', `Discord cannot be reached: ${what} (${reason}).`)
}

/** The system's own code of what went wrong, deep in the causes of an error. */
export function reasonOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as { code?: unknown }
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code)) return code
  }
  return 'the request failed'
}

/**
 * Why Discord's gateway closed: https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
 */
export function closeError(code: number): GatewayError {
  switch (code) {
    case 4004:
      return new GatewayError('UNAUTHORIZED', 'Discord refused the token of the bot (close code 4004).')
    case 4014:
      return new GatewayError(
        'FORBIDDEN',
        'Discord did not grant the bot an intent it asks for, such as MessageContent (close code 4014).',
      )
    case 4010:
    case 4011:
    case 4012:
    case 4013:
      return new GatewayError('INVALID_REQUEST', `Discord refused the connection (close code ${code}).`)
    default:
      return new GatewayError('UNAVAILABLE', `The connection to Discord was lost (close code ${code}).`)
  }
}
