import type { IClientPublishOptions } from 'mqtt'
import { GatewayError } from '../../protocol/errors.js'
import type { OutgoingPart } from '../connector.js'
import { partAsJson } from '../part-json.js'
import { decodeMessageId } from './message-id.js'
import type { MqttOptions, templatesOf } from './options.js'
import { isTopic, matches } from './topics.js'

/** Room in a packet for what is not its text: topic, correlation data, ids. */
export const ENVELOPE_BYTES = 2_048

export interface Publication {
  readonly topic: string
  readonly payload: string
  readonly options: IClientPublishOptions
}

/** How much of a packet a text takes. */
export function lengthIn(format: MqttOptions['format'], text: string): number {
  return Buffer.byteLength(format === 'json' ? JSON.stringify(text) : text)
}

/** @throws what makes that no attempt can succeed */
export function createPublication(
  part: OutgoingPart,
  { format, responseTopics }: MqttOptions,
  { reply }: ReturnType<typeof templatesOf>,
): Publication {
  const { target, text, idempotencyKey: id, runId, part: number, parts } = part
  const asked = part.replyTo === null ? null : decodeMessageId(part.replyTo)
  const replyTo = asked?.id ?? null
  const topic = asked?.responseTopic ?? reply.fill({ ...target })
  if (!isTopic(topic)) {
    throw new GatewayError('INVALID_REQUEST', 'The name of this conversation cannot be part of a topic.')
  }
  // What is answered may be older than the options, and over channels.send it is anyone’s choice.
  if (asked?.responseTopic && !responseTopics.some((filter) => matches(filter, topic))) {
    throw new GatewayError('FORBIDDEN', 'The response topic is none of responseTopics.')
  }
  const userProperties: Record<string, string> = { id }
  if (runId !== null) userProperties.runId = runId
  if (replyTo !== null) userProperties.replyTo = replyTo
  if (parts > 1) Object.assign(userProperties, { part: String(number), parts: String(parts) })
  return {
    topic,
    payload: format === 'json' ? JSON.stringify({ ...partAsJson(part), replyTo }) : text,
    options: {
      properties: {
        payloadFormatIndicator: true,
        contentType: format === 'json' ? 'application/json' : 'text/plain',
        correlationData: asked?.correlationData ?? undefined,
        userProperties,
      },
    },
  }
}
