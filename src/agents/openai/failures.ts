import type { GatewayError } from '../../protocol/index.js'
import { type FailureOptions, malformed, networkFailure, streamedFailure } from '../backend/failures.js'
import { MalformedChunk, StreamedError } from './answer.js'

/** The error for whatever went wrong between request and answer. */
export function failure(error: unknown, options: FailureOptions): GatewayError {
  if (error instanceof StreamedError) return streamedFailure(error.body, options)
  if (error instanceof MalformedChunk) return malformed(error.data, options)
  return networkFailure(error, options.who)
}
