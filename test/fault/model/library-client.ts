import { createNodeClient, type GatewayClient } from '../../../src/client/node.js'
import { GatewayError } from '../../../src/protocol/errors.js'
import { sessionsSend } from '../../../src/protocol/index.js'
import { until } from '../../helpers/until.js'
import {
  type Call,
  type Connection,
  EVERY_LIFE,
  type History,
  isRefusal,
  now,
  type Position,
} from './history.js'
import type { Watcher } from './observer.js'
import { contentOf } from './witness.js'

/**
 * The client that programs use, over all lives: it comes back and repeats by itself. To whoever uses it that is one
 * connection, on which every request is answered and every durable event comes once.
 */
export class LibraryClient implements Watcher {
  readonly name = 'library'
  readonly #client: GatewayClient
  readonly #connection: Connection
  #sent = 0

  private constructor(
    readonly history: History,
    client: GatewayClient,
    connection: Connection,
  ) {
    this.#client = client
    this.#connection = connection
  }

  static async connect(history: History, url: string): Promise<LibraryClient> {
    const client = createNodeClient({
      url,
      client: { id: 'library', version: '1.0.0', platform: 'node', mode: 'cli' },
      reconnect: { minMs: 10, maxMs: 50 },
      requestTimeoutMs: 60_000,
    })
    const connection = history.connect('library', null, EVERY_LIFE)
    client.on('*', (frame) => void connection.events.push({ at: now(), frame: frame as never }))
    const hello = await client.connect()
    connection.given = hello.resume
    return new LibraryClient(history, client, connection)
  }

  get position(): Position | null {
    return this.#client.position
  }

  /** Resolves when it is acknowledged, however many gateways that takes. */
  async send(sessionKey: string): Promise<Call> {
    const label = `#l${++this.#sent}`
    const params = { content: contentOf(label, 'quick'), idempotencyKey: `key of ${label}` }
    const call = this.history.call(this.#connection, sessionsSend.name, params, sessionKey, true)
    try {
      call.result = await this.#client.request(sessionsSend, params, { sessionKey })
      call.outcome = 'ok'
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      call.error = error
      call.outcome = isRefusal(call.method, params, error) ? 'refused' : 'lost'
    }
    if (call.outcome !== 'lost') call.answeredAt = now()
    return call
  }

  async connect(): Promise<boolean> {
    await this.#client.connect()
    return true
  }

  async disconnect(): Promise<void> {
    this.#client.close()
  }

  async until(condition: () => boolean, timeoutMs = 10_000): Promise<boolean> {
    const deadline = now() + timeoutMs * 1_000
    await until(() => condition() || now() > deadline)
    return condition()
  }
}
