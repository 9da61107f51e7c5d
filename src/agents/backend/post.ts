import { GatewayError } from '../../protocol/index.js'
import { abortError } from '../abort.js'
import { Deadline } from '../deadline.js'
import { silent } from './failures.js'

export interface PostOptions {
  readonly url: URL
  readonly headers: Headers
  readonly body: string
  readonly responseTimeoutMs: number
  /** How it is called in messages. */
  readonly who: string
  /** Stops it. */
  readonly signal: AbortSignal
  /** The error for whatever went wrong. */
  readonly failure: (error: unknown) => GatewayError
}

/** Sends a request of a run and has its answer read: `read` sets the deadline anew for each of its steps. */
export async function post<T>(
  { url, headers, body, responseTimeoutMs, who, signal, failure }: PostOptions,
  read: (response: Response, deadline: Deadline) => Promise<T>,
): Promise<T> {
  const deadline = new Deadline(signal)
  try {
    deadline.limit(responseTimeoutMs, silent(who))
    // A redirect would hand the configured headers to whatever it names.
    const request = { method: 'POST', headers, body, redirect: 'manual', signal: deadline.signal } as const
    const answer = await read(await fetch(url, request), deadline)
    if (signal.aborted) throw abortError(signal)
    return answer
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    const decided = error instanceof GatewayError || !deadline.signal.aborted
    throw failure(decided ? error : deadline.signal.reason)
  } finally {
    deadline.close()
  }
}
