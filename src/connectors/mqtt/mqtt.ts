import { readFile } from 'node:fs/promises'
import type { IClientOptions, IPublishPacket } from 'mqtt'
import { parseOptions } from '../../config/parse-options.js'
import { resolveConfigPath } from '../../config/paths.js'
import { GatewayError, type JsonObject } from '../../protocol/index.js'
import type { Connector, ConnectorFactoryContext, Inlet } from '../connector.js'
import { PacketNames, toMessage } from './incoming.js'
import { checkOptions, MqttOptions, readCredentials, templatesOf } from './options.js'
import { createPublication, ENVELOPE_BYTES, lengthIn } from './outgoing.js'
import { RefusedLog } from './refused.js'
import { MqttSession } from './session.js'

/** Reason codes of a PUBACK (MQTT 5, 3.4.2.1). */
const SUCCESS = 0
const NOT_FOR_US = 131

/** Refused for what they are, messages would be refused each time that the broker sends them again. */
const FOR_GOOD = new Set(['INVALID_REQUEST', 'FORBIDDEN'])

/**
 * Whoever publishes on an MQTT 5 broker. Answers go to the response topic of the message, with its correlation data, or else to
 * `reply`.
 *
 * @throws ConfigError
 */
export function createMqttConnector(given: JsonObject, context: ConnectorFactoryContext): Connector {
  const { name, log } = context
  const options = parseOptions(MqttOptions, given, (one) => checkOptions(one, context.env))
  const templates = templatesOf(options)
  const names = new PacketNames(options.receiveMaximum)
  const refused = new RefusedLog(log, name)
  const clientId = options.clientId ?? `lurkbot-${name}`
  const { unset, ...credentials } = readCredentials(options, context.env)
  let current: MqttSession | null = null
  /** Bytes; the broker's own limit once it is known. */
  let maxPacketSize = options.maxPacketSize

  const take = async (inlet: Inlet, packet: IPublishPacket): Promise<number> => {
    try {
      const message = toMessage(packet, { options, templates, names })
      await inlet.receive(message)
      return SUCCESS
    } catch (error) {
      const forGood = error instanceof GatewayError && FOR_GOOD.has(error.code)
      if (!forGood && packet.qos > 0) throw error
      refused.refused(error instanceof GatewayError ? error.message : 'The gateway could not take it.')
      return NOT_FOR_US
    }
  }

  return {
    type: 'mqtt',
    capabilities: {
      get maxLength() {
        return maxPacketSize - Math.min(ENVELOPE_BYTES, Math.floor(maxPacketSize / 2))
      },
      lengthOf: (text) => lengthIn(options.format, text),
      threads: options.thread !== undefined,
      attachments: options.format === 'json',
      // A part has the same user property `id` each time, but no broker looks at it.
      idempotent: false,
      // Who may publish is for the broker's accounts to say.
      trusted: true,
    },
    unset,
    async listen(inlet, signal) {
      const settings = await connectOptions(options, { clientId, ...credentials }, context)
      const { connect } = await import('mqtt')
      if (signal.aborted) return
      const session = new MqttSession(connect(options.url, settings), (packet) => take(inlet, packet))
      const stop = () => void session.close()
      signal.addEventListener('abort', stop, { once: true })
      try {
        if (!(await session.connected())) names.clear()
        await session.subscribe(options.subscribe)
        maxPacketSize = Math.min(options.maxPacketSize, session.maximumPacketSize)
        current = session
        inlet.connected(clientId)
        await session.ended()
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        signal.removeEventListener('abort', stop)
        current = null
        await session.close()
      }
    },
    async send(part, signal) {
      const { topic, payload, options: how } = createPublication(part, options, templates)
      if (current === null) throw new GatewayError('UNAVAILABLE', 'There is no connection to the broker.')
      await current.publish(topic, payload, how, signal)
      return { messageId: null }
    },
  }
}

async function connectOptions(
  options: MqttOptions,
  account: Pick<IClientOptions, 'clientId' | 'username' | 'password'>,
  { baseDir }: ConnectorFactoryContext,
): Promise<IClientOptions> {
  // Read at each attempt, so that renewed files are picked up.
  const read = async (option: 'ca' | 'cert' | 'key') => {
    const path = options[option]
    if (path === undefined) return undefined
    try {
      return await readFile(resolveConfigPath(baseDir, path))
    } catch (cause) {
      throw new GatewayError('NOT_LINKED', `The file of ${option} cannot be read.`, { cause })
    }
  }
  const [ca, cert, key] = await Promise.all([read('ca'), read('cert'), read('key')])
  return {
    protocolVersion: 5,
    ...account,
    ca,
    cert,
    key,
    keepalive: options.keepaliveS,
    // The broker keeps subscriptions and messages while we are away.
    clean: false,
    properties: {
      sessionExpiryInterval: options.sessionExpiryS,
      receiveMaximum: options.receiveMaximum,
      maximumPacketSize: options.maxPacketSize,
    },
    // Connecting again is the gateway's.
    reconnectPeriod: 0,
    resubscribe: false,
  }
}
