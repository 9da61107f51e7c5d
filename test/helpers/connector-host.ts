import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type {
  Connector,
  ConnectorFactoryContext,
  IncomingMessage,
  Inlet,
  OutgoingPart,
  Received,
  Sent,
  Target,
} from '../../src/connectors/connector.js'
import type { Log } from '../../src/log.js'
import type { GatewayError } from '../../src/protocol/errors.js'
import { Turns } from '../../src/sessions/turns.js'
import { until } from './until.js'

/** What a connector's factory is given in tests; `logged` has its lines as `[level, fields, message]`. */
export function connectorContext(
  overrides: Partial<ConnectorFactoryContext> = {},
): ConnectorFactoryContext & { readonly logged: [keyof Log, object, string][] } {
  const logged: [keyof Log, object, string][] = []
  const level = (name: keyof Log) => (fields: object, message: string) => {
    logged.push([name, fields, message])
  }
  const log = {
    debug: level('debug'),
    info: level('info'),
    warn: level('warn'),
    error: level('error'),
  } as unknown as Log
  return {
    name: 'test',
    channel: 'test',
    log,
    baseDir: process.cwd(),
    env: {},
    maxAttachmentBytes: 1_048_576,
    ...overrides,
    logged,
  }
}

/** The gateway's side of one connector, for tests of the connector alone: keeps what came in and accepts it at once. */
export class ConnectorHost implements Inlet {
  readonly received: IncomingMessage[] = []
  identity: string | null = null
  isConnected = false
  /** What it has said last that it lacks. */
  trouble: GatewayError | null = null
  /** How the last `listen` ended: null while it goes on, `undefined` when it resolved. */
  ended: { readonly error: unknown } | null = null
  /** What the next messages get; throw for what the gateway cannot take. */
  answer: (message: IncomingMessage) => Promise<Received> | Received = (message) => ({
    accepted: true,
    eventId: `evt_${message.id}`,
    runId: `run_${message.id}`,
    duplicate: false,
  })
  readonly #turns = new Turns()
  /** Which conversations have a session. */
  knows: (target: Target) => Promise<boolean> = async ({ peer, thread }) =>
    this.received.some((message) => message.peer === peer && message.thread === thread)
  #stop = new AbortController()
  #listening: Promise<void> = Promise.resolve()

  constructor(readonly connector: Connector) {}

  connected(identity?: string): void {
    this.identity = identity ?? null
    this.isConnected = true
  }

  troubled(error: GatewayError | null): void {
    this.trouble = error
  }

  async receive(message: IncomingMessage): Promise<Received> {
    // A test may hold an answer for ever: only what is fetched first takes its turn.
    const whole = await this.#turns.take(message.peer, () => this.complete(message))
    this.received.push(whole)
    return this.answer(whole)
  }

  /** Asks for the names and fetches the files, as the gateway does of what it takes. */
  complete: (message: IncomingMessage) => Promise<IncomingMessage> = async ({
    names,
    files,
    ...message
  }) => ({
    ...message,
    ...(await names?.(this.#stop.signal)),
    ...(await files?.(this.#stop.signal)),
  })

  /** Listens, resolves once connected, and rejects with why it could not. */
  async start(): Promise<void> {
    this.#stop = new AbortController()
    this.isConnected = false
    this.ended = null
    this.#listening = this.connector.listen(this, this.#stop.signal).then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error),
    )
    await until(() => this.isConnected || this.ended !== null)
    if (!this.isConnected) throw this.ended!.error
  }

  /** Resolves when `listen` has ended. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#listening
  }

  /** Sends one part that is a whole delivery; anything of it can be given. */
  send(target: Target, text: string, overrides: Partial<OutgoingPart> = {}): Promise<Sent> {
    const part: OutgoingPart = {
      target,
      text,
      attachments: [],
      idempotencyKey: randomUUID(),
      runId: null,
      replyTo: null,
      part: 1,
      parts: 1,
      ...overrides,
    }
    return this.connector.send(part, this.#stop.signal)
  }

  #end(error: unknown): void {
    this.isConnected = false
    this.ended = { error }
  }
}

/** A host whose connector is closed when the test ends. */
export function hostOf(t: Test, connector: Connector): ConnectorHost {
  const host = new ConnectorHost(connector)
  t.teardown(async () => {
    await host.stop()
    await connector.close?.()
  })
  return host
}
