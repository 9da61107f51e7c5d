import { isUtf8 } from 'node:buffer'
import { createHash, randomUUID } from 'node:crypto'
import type { IPublishPacket } from 'mqtt'
import { GatewayError } from '../../protocol/errors.js'
import type { IncomingMessage } from '../connector.js'
import { valueAt } from '../template.js'
import { encodeMessageId } from './message-id.js'
import type { MqttOptions, templatesOf } from './options.js'
import { isTopic, matches, withoutShare } from './topics.js'

/**
 * Names for messages that bring none. MQTT has no ids that last: only the packet of a message that the broker sends again, because
 * the connection ended before our PUBACK, can be known by its packet id, its DUP flag and its content. It is among the last
 * `receiveMaximum` ones, since no more can be without a PUBACK.
 */
export class PacketNames {
  readonly #recent = new Map<number, { readonly digest: string; readonly name: string }>()
  readonly #limit: number

  constructor(receiveMaximum: number) {
    this.#limit = receiveMaximum
  }

  nameOf(packet: IPublishPacket): string {
    const { messageId } = packet
    if (packet.qos === 0 || messageId === undefined) return randomUUID()
    const digest = digestOf(packet)
    const known = this.#recent.get(messageId)
    const name = packet.dup && known?.digest === digest ? known.name : randomUUID()
    this.#recent.delete(messageId)
    this.#recent.set(messageId, { digest, name })
    if (this.#recent.size > this.#limit) this.#recent.delete(this.#recent.keys().next().value!)
    return name
  }

  /** The broker has forgotten us: its packet ids begin anew. */
  clear(): void {
    this.#recent.clear()
  }
}

function digestOf({ topic, payload, properties }: IPublishPacket): string {
  const parts = [topic, payload, properties?.correlationData ?? '']
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  return hash.digest('base64url')
}

/** @throws `INVALID_REQUEST` for what is no message of a conversation. */
export function toMessage(
  packet: IPublishPacket,
  {
    options,
    templates,
    names,
  }: {
    options: MqttOptions
    templates: ReturnType<typeof templatesOf>
    names: PacketNames
  },
): IncomingMessage {
  const { topic, properties } = packet
  // The broker keeps the subscriptions of a session, also those that are no longer configured.
  if (!options.subscribe.some((filter) => matches(withoutShare(filter), topic))) {
    throw invalid('The topic is not subscribed to any more.')
  }
  const bytes = Buffer.from(packet.payload)
  if (!isUtf8(bytes)) throw invalid('The payload is not UTF-8.')
  const text = bytes.toString()
  const payload = parse(text)
  const userProperties = firstValues(properties?.userProperties)
  const values = { topic, levels: topic.split('/'), payload, properties: userProperties }
  const peer = templates.peer.fill(values)
  if (peer === '')
    throw invalid(`The message has no peer: expected a value at ${templates.peer.paths.join(' or ')}.`)
  const given = templates.id === null ? userProperties.id || givenId(payload) : templates.id.fill(values)
  return {
    id: encodeMessageId({
      id: given || names.nameOf(packet),
      responseTopic: responseTopic(properties?.responseTopic, options),
      correlationData: properties?.correlationData ?? null,
    }),
    peer,
    thread: templates.thread?.fill(values) || null,
    sender: { id: templates.sender.fill(values) || peer },
    group: false,
    mentioned: false,
    text: templates.text === null ? defaultText(payload, text) : templates.text.fill(values),
    metadata: { topic },
  }
}

function responseTopic(topic: string | undefined, { responseTopics }: MqttOptions): string | null {
  if (!topic) return null
  if (isTopic(topic) && responseTopics.some((filter) => matches(filter, topic))) return topic
  throw invalid('The response topic is none of responseTopics.')
}

/** Only objects: a number or a quoted word is a text that someone wrote. */
function parse(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function givenId(payload: unknown): string | null {
  const id = valueAt(payload, 'id')
  return typeof id === 'string' || typeof id === 'number' ? String(id) : null
}

function defaultText(payload: unknown, whole: string): string {
  const text = valueAt(payload, 'text') ?? valueAt(payload, 'content')
  return typeof text === 'string' ? text : whole
}

/** A user property may come several times; the first one counts. */
function firstValues(properties: Record<string, string | string[]> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [
      name,
      Array.isArray(value) ? (value[0] ?? '') : value,
    ]),
  )
}

function invalid(message: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', message)
}
