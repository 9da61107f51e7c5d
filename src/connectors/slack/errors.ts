import type { WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError } from '@slack/web-api'
import { type ErrorCode, GatewayError } from '../../protocol/errors.js'

/**
 * What the errors of the Web API mean here; one that is not listed is a fault of the request.
 * https://docs.slack.dev/reference/methods/chat.postMessage#errors
 */
const CODES: Record<string, ErrorCode> = {
  not_authed: 'UNAUTHORIZED',
  invalid_auth: 'UNAUTHORIZED',
  account_inactive: 'UNAUTHORIZED',
  token_revoked: 'UNAUTHORIZED',
  token_expired: 'UNAUTHORIZED',
  not_allowed_token_type: 'UNAUTHORIZED',
  user_removed_from_team: 'UNAUTHORIZED',
  team_disabled: 'UNAUTHORIZED',

  missing_scope: 'FORBIDDEN',
  no_permission: 'FORBIDDEN',
  access_denied: 'FORBIDDEN',
  ekm_access_denied: 'FORBIDDEN',
  enterprise_is_restricted: 'FORBIDDEN',
  org_login_required: 'FORBIDDEN',
  team_access_not_granted: 'FORBIDDEN',
  not_in_channel: 'FORBIDDEN',
  is_archived: 'FORBIDDEN',
  is_inactive: 'FORBIDDEN',
  messages_tab_disabled: 'FORBIDDEN',
  cannot_dm_bot: 'FORBIDDEN',
  restricted_action: 'FORBIDDEN',
  restricted_action_read_only_channel: 'FORBIDDEN',
  restricted_action_thread_only_channel: 'FORBIDDEN',
  restricted_action_non_threadable_channel: 'FORBIDDEN',
  restricted_action_thread_locked: 'FORBIDDEN',

  channel_not_found: 'NOT_FOUND',
  user_not_found: 'NOT_FOUND',
  message_not_found: 'NOT_FOUND',

  ratelimited: 'RATE_LIMITED',
  rate_limited: 'RATE_LIMITED',

  accesslimited: 'UNAVAILABLE',
  external_channel_migrating: 'UNAVAILABLE',
  fatal_error: 'UNAVAILABLE',
  internal_error: 'UNAVAILABLE',
  request_timeout: 'UNAVAILABLE',
  service_unavailable: 'UNAVAILABLE',
  team_added_to_org: 'UNAVAILABLE',
}

/** What a call of the Web API failed with, as the gateway's own; without anything that could hold a token. */
export function slackError(error: unknown, what: string): GatewayError {
  if (error instanceof GatewayError) return error
  switch ((error as { code?: unknown }).code) {
    case 'slack_webapi_platform_error':
      return platformError(error as WebAPIPlatformError, what)
    case 'slack_webapi_rate_limited_error':
      return new GatewayError('RATE_LIMITED', `Slack asks for patience: ${what}.`, {
        retryAfterMs: (error as WebAPIRateLimitedError).retryAfter * 1000,
      })
    case 'slack_webapi_http_error':
      return unavailable(what, `HTTP status ${(error as WebAPIHTTPError).statusCode}`)
    default:
      return unavailable(what, reasonOf(error))
  }
}

/** The name that Slack gives its error; undefined: it is none of Slack's. */
export function platformCode(error: unknown): string | undefined {
  const { code, data } = error as { code?: unknown; data?: { error?: unknown } }
  return code === 'slack_webapi_platform_error' && typeof data?.error === 'string' ? data.error : undefined
}

function platformError(error: WebAPIPlatformError, what: string): GatewayError {
  const name = platformCode(error) ?? ''
  // The library puts a body that is no JSON, such as a proxy's page, into this field.
  if (!/^[a-z0-9_]{1,80}$/.test(name)) return unavailable(what, 'an answer that is not Slack’s')
  const { needed } = error.data as { needed?: unknown }
  const detail =
    name === 'missing_scope' && typeof needed === 'string'
      ? `missing_scope: it needs ${needed.slice(0, 200)}`
      : name
  return new GatewayError(CODES[name] ?? 'INVALID_REQUEST', `Slack refused: ${what} (${detail}).`)
}

function unavailable(what: string, reason: string): GatewayError {
  return new GatewayError('UNAVAILABLE', `Slack cannot be reached: ${what} (${reason}).`)
}

/** The system's own code of what went wrong, deep in the causes of the library's error. */
function reasonOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at.name === 'TimeoutError') return 'no answer in time'
    const { code } = at as { code?: unknown }
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code)) return code
  }
  return 'the request failed'
}
