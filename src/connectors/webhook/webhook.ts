import { once } from 'node:events'
import { parseOptions } from '../../config/parse-options.js'
import { GatewayError, type JsonObject, toErrorShape } from '../../protocol/index.js'
import type { Connector, ConnectorFactoryContext, EndpointAnswer, Received } from '../connector.js'
import type { Template } from '../template.js'
import { parseBody, toMessage } from './incoming.js'
import { checkOptions, readSecrets, readSigningSecret, templatesOf, WebhookOptions } from './options.js'
import { Sender } from './outgoing.js'
import { createVerify } from './verify.js'

/** The longest text of one request, in UTF-16 code units; with its envelope and escapes it may be some times longer. */
const MAX_LENGTH = 1_048_576

/**
 * Any program that speaks HTTP: it posts messages to `/channels/<name>`, and answers are posted to `url`.
 *
 * @throws ConfigError
 */
export async function createWebhookConnector(
  given: JsonObject,
  context: ConnectorFactoryContext,
): Promise<Connector> {
  const { name, env, log, channel, maxAttachmentBytes } = context
  const options = parseOptions(WebhookOptions, given, (one) => checkOptions(one, env))
  const templates = templatesOf(options)
  const secrets = readSecrets(options, env)
  const signingSecret = readSigningSecret(options, env)
  const unset = unsetVariable(options, secrets, signingSecret)
  const verify = await createVerify(options, secrets, templates.signed)
  const sender = await createSender(options, templates.url, signingSecret, channel)

  return {
    type: 'webhook',
    capabilities: {
      maxLength: MAX_LENGTH,
      threads: true,
      attachments: true,
      // Its receiver is told to drop a `webhook-id` that it has seen.
      idempotent: true,
      trusted: options.verify !== 'none',
    },
    unset,
    async listen(inlet, signal) {
      if (signal.aborted) return
      inlet.connected()
      await once(signal, 'abort')
    },
    async send(part, signal) {
      if (sender === null) throw new GatewayError('NOT_LINKED', 'The webhook has no url to answer to.')
      await sender.send(part, signal)
      return { messageId: null }
    },
    async endpoint(request, inlet) {
      try {
        if (request.body.length > options.maxBodyBytes) return tooLong(options.maxBodyBytes)
        const proof = verify(request)
        const payload = parseBody(request)
        if (payload === undefined) return unknownType()
        const message = toMessage({ payload, headers: request.headers }, proof, {
          templates,
          attachments: options.attachments,
          maxAttachmentBytes,
        })
        return receivedAnswer(await inlet.receive({ ...message, ...request.trace }))
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error
        // Whoever finds the address can cause as many lines as they like.
        log.debug(
          { connector: name, code: error.code, reason: error.message },
          'a webhook request was refused',
        )
        return errorAnswer(error)
      }
    },
  }
}

/** The variable that is to hold a secret and is not set. */
function unsetVariable(
  { verify, secretEnv, signingSecretEnv }: WebhookOptions,
  secrets: readonly string[],
  signingSecret: string | null | undefined,
): string | undefined {
  if (verify !== 'none' && secrets.length === 0) return secretEnv
  return signingSecret === undefined ? signingSecretEnv : undefined
}

async function createSender(
  { timeoutMs }: WebhookOptions,
  url: Template | null,
  secret: string | null | undefined,
  channel: string,
): Promise<Sender | null> {
  if (url === null) return null
  const { Webhook } = await import('standardwebhooks')
  const hook = secret ? new Webhook(secret) : null
  return new Sender({ url, hook, channel, timeoutMs })
}

function receivedAnswer(received: Received): EndpointAnswer {
  if (received.accepted) {
    const { eventId, runId, duplicate } = received
    return jsonAnswer(202, { eventId, runId, duplicate })
  }
  const { reason } = received
  if (reason === 'empty') return errorAnswer(new GatewayError('INVALID_REQUEST', 'The message has no text.'))
  if (reason === 'not_allowed') {
    return errorAnswer(new GatewayError('FORBIDDEN', 'The sender may not write here.'))
  }
  if (reason === 'not_paired') {
    return errorAnswer(
      new GatewayError('NOT_PAIRED', 'The sender is unknown; an operator has to approve it.'),
    )
  }
  if (reason === 'refused') {
    return errorAnswer(
      new GatewayError('INVALID_REQUEST', 'The gateway refused the message; url was told why.'),
    )
  }
  // Done already; there is no run.
  return jsonAnswer(200, { reason })
}

function tooLong(maxBytes: number): EndpointAnswer {
  const message = `The body is longer than ${maxBytes} bytes.`
  return errorAnswer(new GatewayError('INVALID_REQUEST', message, { details: { maxBytes } }), 413)
}

function unknownType(): EndpointAnswer {
  const message = 'Expected a content type of JSON, of a form, or of text.'
  return errorAnswer(new GatewayError('INVALID_REQUEST', message), 415)
}

function errorAnswer(error: GatewayError, status = error.statusCode): EndpointAnswer {
  const { retryAfterMs } = error
  const headers: Record<string, string> =
    retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }
  return jsonAnswer(status, { error: toErrorShape(error) }, headers)
}

function jsonAnswer(status: number, body: object, headers: Record<string, string> = {}): EndpointAnswer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }
}
