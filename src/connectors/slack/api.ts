import { type Logger, type LogLevel, WebClient, type WebClientOptions } from '@slack/web-api'

/** How long one call may take. */
const CALL_TIMEOUT_MS = 20_000

/** A Web API client whose calls end with `signal`; it neither retries nor waits for a rate limit. */
export type SlackApi = (signal: AbortSignal) => WebClient

/** Retries, waits and words are the gateway's, and the libraries' debug lines hold whole messages. */
export const SILENT: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  setName() {},
  getLevel: () => 'error' as LogLevel,
}

export function createApi(token: string, apiUrl: string): SlackApi {
  return (signal) => new WebClient(token, { ...clientOptions(apiUrl, signal), logger: SILENT })
}

/** The library knows no signal for a call: a client's `fetch` brings it. A client is cheap. */
export function clientOptions(apiUrl: string, signal: AbortSignal): WebClientOptions {
  return {
    slackApiUrl: apiUrl,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    fetch: (url, init) =>
      fetch(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]) }),
  }
}
