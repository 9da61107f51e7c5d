import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

/** Errors over HTTP have the shape that they have in frames: `{error}`, and say nothing of the inside. */
export function answerError(
  error: FastifyError | GatewayError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const shown = error instanceof GatewayError ? error : translate(error)
  if (shown.code === 'INTERNAL_ERROR') request.log.error({ err: error, reqId: request.id }, 'request failed')
  if (shown.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(shown.retryAfterMs / 1000))
  reply.code(shown.statusCode).send({ error: toErrorShape(shown) })
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const error = new GatewayError(
    'NOT_FOUND',
    `There is no ${request.method} ${request.url.split('?', 1)[0]}.`,
  )
  reply.code(404).send({ error: toErrorShape(error) })
}

/** The framework's own refusals of a request (4xx) are the client's to know; anything else is not. */
function translate(error: FastifyError): GatewayError {
  const { statusCode = 500 } = error
  if (statusCode === 429) return new GatewayError('RATE_LIMITED', error.message)
  if (statusCode >= 400 && statusCode < 500) return new GatewayError('INVALID_REQUEST', error.message)
  return new GatewayError('INTERNAL_ERROR', 'Internal error; the gateway log has the cause.')
}
