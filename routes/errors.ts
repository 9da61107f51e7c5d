import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

/** Errors over HTTP have the shape that they have in frames: `{error}`, and say nothing of the inside. */
export function answerError(
  error: FastifyError | GatewayError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const shown = error instanceof GatewayError ? error : translate(error, request)
  if (shown.code === 'INTERNAL_ERROR') request.log.error({ err: error, reqId: request.id }, 'request failed')
  if (shown.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(shown.retryAfterMs / 1000))
  const status = isTooLarge(error) ? 413 : shown.statusCode
  reply.code(status).send({ error: toErrorShape(shown) })
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const error = new GatewayError(
    'NOT_FOUND',
    `There is no ${request.method} ${request.url.split('?', 1)[0]}.`,
  )
  reply.code(404).send({ error: toErrorShape(error) })
}

/** What is not HTTP, or came too slowly: there is no request to answer, only a socket to say it on and to end. */
export function answerClientError(
  error: Error & { code?: string },
  socket: Socket & { _httpMessage?: ServerResponse | null },
): void {
  const [status, message] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'This is not an HTTP request.']
  // Into the middle of a response nothing can be said.
  if (socket.writable && error.code !== 'ECONNRESET' && !socket._httpMessage?.headersSent) {
    const body = JSON.stringify({ error: toErrorShape(new GatewayError('INVALID_REQUEST', message)) })
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )
  }
  // Not `destroySoon`: what is written before a TLS handshake is done waits for it.
  socket.destroy()
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: number, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions are too large.'],
}

/** The framework's own refusals of a request (4xx) are the client's to know; anything else is not. */
function translate(error: FastifyError, { routeOptions }: FastifyRequest): GatewayError {
  const { statusCode = 500 } = error
  if (isTooLarge(error)) {
    const maxBytes = routeOptions.bodyLimit
    return new GatewayError('INVALID_REQUEST', `The body is longer than ${maxBytes} bytes.`, {
      details: { maxBytes },
    })
  }
  if (statusCode === 429) return new GatewayError('RATE_LIMITED', error.message)
  if (statusCode >= 400 && statusCode < 500) return new GatewayError('INVALID_REQUEST', error.message)
  return new GatewayError('INTERNAL_ERROR', 'Internal error; the gateway log has the cause.')
}

function isTooLarge(error: FastifyError | GatewayError): boolean {
  return error.code === 'FST_ERR_CTP_BODY_TOO_LARGE'
}
