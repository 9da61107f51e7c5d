import { setTimeout as sleep } from 'node:timers/promises'
import type { IClientPublishOptions, IConnackPacket, IPublishPacket, MqttClient } from 'mqtt'
import { abortable } from '../../agents/abort.js'
import { GatewayError } from '../../protocol/errors.js'
import { unsent } from '../failure.js'
import { connectFailure, disconnected, lost, refusal } from './reasons.js'
import { withoutShare } from './topics.js'

/** How long a stop waits for the gateway to take what has come already, and then for the socket to close. */
const CLOSE_MS = 1_000

/** What became of a message: the reason code of its PUBACK. Rejects: it gets none. */
export type Take = (packet: IPublishPacket) => Promise<number>

/** One connection to the broker, from CONNECT to its end. It is not made again. */
export class MqttSession {
  readonly #client: MqttClient
  readonly #connack: Promise<IConnackPacket>
  /** Aborts when the connection is of no more use, with the reason. */
  readonly #over = new AbortController()
  /** The last PUBACK that is to be sent. */
  #acknowledged: Promise<void> = Promise.resolve()
  #closing: Promise<void> | null = null

  /** @param take is called for each message as it comes, not waiting for the one before */
  constructor(client: MqttClient, take: Take) {
    this.#client = client
    this.#connack = new Promise((resolve) => client.once('connect', resolve))
    client.on('error', (error) => this.#fail(client.connected ? lost(error) : connectFailure(error)))
    client.on('disconnect', ({ reasonCode }) => this.#fail(disconnected(reasonCode)))
    client.on('close', () => this.#fail(lost()))
    // mqtt.js would read nothing more, not even answers to its pings, until a message is acknowledged. An error here
    // makes it go on without a PUBACK, which is sent when the gateway has the message.
    client.handleMessage = (_packet, done) => done(new Error('acknowledged later'))
    client.on('message', (_topic, _payload, packet) => this.#receive(packet, take(packet)))
  }

  /** True: the broker still knew us. Rejects when the connection is lost, or is of no use. */
  async connected(): Promise<boolean> {
    const { sessionPresent, properties } = await abortable(this.#connack, this.#over.signal)
    if (properties?.maximumQoS === 0) throw refusal(155)
    return sessionPresent
  }

  /** The longest packet that the broker takes, in bytes. */
  get maximumPacketSize(): number {
    return this.#client.serverProperties?.maximumPacketSize ?? Number.POSITIVE_INFINITY
  }

  /** @throws what the broker has against a filter */
  async subscribe(filters: readonly string[]): Promise<void> {
    const map = Object.fromEntries(
      filters.map((filter) => {
        // A shared subscription must not have No Local (MQTT 5, 3.8.3.1); others would get what we answer ourselves.
        const nl = withoutShare(filter) === filter
        // rh 2: what was retained long ago is no message to us now.
        return [filter, { qos: 1, nl, rh: 2 } as const]
      }),
    )
    const subscribed = new Promise<number[]>((resolve, reject) => {
      this.#client.subscribe(map, (error, _granted, packet) => {
        if (packet?.granted) resolve(packet.granted.map(Number))
        else reject(lost(error ?? undefined))
      })
    })
    const granted = await abortable(subscribed, this.#over.signal)
    const refused = granted.find((code) => code >= 0x80)
    if (refused !== undefined) throw refusal(refused)
  }

  /** Resolves with the PUBACK. Rejects with what the broker has against it, or when the connection or `signal` ends. */
  publish(
    topic: string,
    payload: string,
    options: IClientPublishOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = Buffer.byteLength(payload) + Buffer.byteLength(topic)
    // The broker would end the connection.
    if (bytes > this.maximumPacketSize) return Promise.reject(refusal(149))
    const published = new Promise<void>((resolve, reject) => {
      this.#client.publish(topic, payload, { ...options, qos: 1 }, (error) => {
        if (!error) resolve()
        else reject('code' in error && typeof error.code === 'number' ? refusal(error.code) : lost(error))
      })
    })
    const untilLost = abortable(published, this.#over.signal).catch((error: unknown) => {
      throw error === this.#over.signal.reason ? unsent(this.#over.signal.reason) : error
    })
    return abortable(untilLost, signal)
  }

  /** Rejects when the connection is lost, or with why it ends; never resolves. */
  ended(): Promise<never> {
    return abortable(new Promise<never>(() => {}), this.#over.signal)
  }

  /** Closing twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // What the gateway is about to have is acknowledged, else it would come again. That is not worth waiting for long.
    if (!this.#over.signal.aborted) await settled(this.#acknowledged, CLOSE_MS)
    this.#fail(new GatewayError('UNAVAILABLE', 'The connector stops.'))
    const client = this.#client
    const force = setTimeout(() => client.stream.destroy(), CLOSE_MS)
    // Without force it would wait for the PUBACKs of what we have published.
    await client.endAsync(!client.connected || Object.keys(client.outgoing).length > 0)
    clearTimeout(force)
  }

  /** PUBACKs have the order of the messages (MQTT 5, 4.6), whichever the gateway has first. */
  #receive({ qos, messageId }: IPublishPacket, taken: Promise<number>): void {
    // A message of QoS 0 is not sent again; the gateway has said why it could not take it.
    taken.catch(() => {})
    if (qos === 0 || messageId === undefined) return
    this.#acknowledged = this.#acknowledged.then(async () => this.#acknowledge(messageId, await taken))
    this.#acknowledged.catch((cause) => {
      // The connection is given up, so that the broker sends the message again.
      this.#fail(new GatewayError('UNAVAILABLE', 'The gateway could not take a message.', { cause }))
    })
  }

  /** PUBACK without properties (MQTT 5, 3.4). */
  #acknowledge(messageId: number, reasonCode: number): void {
    if (this.#over.signal.aborted) return
    this.#client.stream.write(Buffer.from([0x40, 3, messageId >> 8, messageId & 0xff, reasonCode]))
  }

  /** The first reason is the one that counts. */
  #fail(reason: GatewayError): void {
    if (!this.#over.signal.aborted) this.#over.abort(reason)
  }
}

async function settled(promise: Promise<void>, timeoutMs: number): Promise<void> {
  const done = new AbortController()
  const late = sleep(timeoutMs, undefined, { signal: done.signal })
  await Promise.race([promise, late]).catch(() => {})
  done.abort()
  await late.catch(() => {})
}
