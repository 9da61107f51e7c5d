import { createHash } from 'node:crypto'
import { GatewayError } from '../../protocol/errors.js'

/**
 * What an answer needs of the message that it answers. Between the two the gateway keeps nothing but the message's id, also
 * over a restart, and gives it back as `replyTo`: so the response topic and the correlation data are part of that id.
 */
export interface MessageId {
  /** As the sender or we named it. */
  readonly id: string
  readonly responseTopic: string | null
  readonly correlationData: Buffer | null
}

const MAX_ID_LENGTH = 64
/** Of what goes into the journal with each message. */
const MAX_RESPONSE_TOPIC_BYTES = 512
const MAX_CORRELATION_BYTES = 256

/** @throws `INVALID_REQUEST` for what is too long to keep. */
export function encodeMessageId({ id, responseTopic, correlationData }: MessageId): string {
  const topic = Buffer.from(responseTopic ?? '')
  const correlation = correlationData ?? Buffer.alloc(0)
  if (topic.length > MAX_RESPONSE_TOPIC_BYTES) throw tooLong('response topic', MAX_RESPONSE_TOPIC_BYTES)
  if (correlation.length > MAX_CORRELATION_BYTES) throw tooLong('correlation data', MAX_CORRELATION_BYTES)
  const short = id.length <= MAX_ID_LENGTH ? id : createHash('sha256').update(id).digest('base64url')
  const base = encodeURIComponent(short.replace(/\p{Surrogate}/gu, '\ufffd'))
  if (topic.length === 0 && correlation.length === 0) return base
  return [base, topic.toString('base64url'), correlation.toString('base64url')].join(':')
}

export function decodeMessageId(encoded: string): MessageId {
  const [base, topic, correlation] = encoded.split(':')
  return {
    id: decode(base!),
    responseTopic: topic ? Buffer.from(topic, 'base64url').toString() : null,
    correlationData: correlation ? Buffer.from(correlation, 'base64url') : null,
  }
}

/** Whoever sends over `channels.send` may give any text as the id. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function tooLong(what: string, bytes: number): GatewayError {
  return new GatewayError('INVALID_REQUEST', `The ${what} is longer than ${bytes} bytes.`)
}
