import { GatewayError } from '../protocol/errors.js'

/** What a stopped run rejects with: the reason of whoever stopped it, where that is fit for a client, else `CANCELLED`. */
export function abortError(signal: AbortSignal): GatewayError {
  const { reason } = signal
  return reason instanceof GatewayError
    ? reason
    : new GatewayError('CANCELLED', 'The run was stopped.', { cause: reason })
}

/** `promise`, or a rejection as soon as `signal` aborts; what becomes of `promise` after that is ignored. */
export function abortable<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(abortError(signal))
    const settle = () => signal.removeEventListener('abort', stop)
    promise.then(
      (value) => {
        settle()
        resolve(value)
      },
      (error) => {
        settle()
        reject(error)
      },
    )
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
