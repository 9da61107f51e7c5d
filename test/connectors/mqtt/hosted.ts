import { randomUUID } from 'node:crypto'
import type { IPublishPacket, MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { createMqttConnector } from '../../../src/connectors/mqtt/mqtt.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { type ConnectorHost, connectorContext, hostOf } from '../../helpers/connector-host.js'
import type { Mosquitto } from '../../helpers/mosquitto.js'

export const ALICE = { peer: 'alice', thread: null }

/** A connector for a broker, under a client id of its own. */
export function hostAt(t: Test, broker: Pick<Mosquitto, 'url'>, options: JsonObject = {}): ConnectorHost {
  const context = connectorContext({ env: { RIGHT: 'right', WRONG: 'wrong' } })
  const clientId = `lurkbot-${randomUUID()}`
  return hostOf(t, createMqttConnector({ url: broker.url, clientId, ...options }, context))
}

/** What a client gets on a topic from now on. */
export async function hear(client: MqttClient, topic: string): Promise<IPublishPacket[]> {
  const got: IPublishPacket[] = []
  client.on('message', (_topic, _payload, packet) => got.push(packet))
  await client.subscribeAsync(topic, { qos: 1 })
  return got
}

/** Says something as Alice; resolves once the broker has it. */
export async function say(client: MqttClient, text: string): Promise<void> {
  await client.publishAsync('lurkbot/alice/in', text, { qos: 1 })
}
