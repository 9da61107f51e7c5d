import type { Test } from 'tap'
import type {
  Capabilities,
  Connector,
  IncomingMessage,
  Inlet,
  OutgoingPart,
  Received,
  Sent,
} from '../../src/connectors/connector.js'
import { type ConfigOverrides, startApp } from './app.js'
import { ScriptedAgent } from './scripted-agent.js'

/** One call of `listen`; it ends when the test says so, or with its signal. */
export class ScriptedListen {
  readonly promise: Promise<void>
  ended = false
  #resolve!: () => void
  #reject!: (error: unknown) => void

  constructor(
    readonly inlet: Inlet,
    readonly signal: AbortSignal,
    obeys: boolean,
  ) {
    this.promise = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    }).finally(() => {
      this.ended = true
    })
    if (obeys) signal.addEventListener('abort', () => this.#resolve())
  }

  resolve(): void {
    this.#resolve()
  }

  fail(error: unknown): void {
    this.#reject(error)
  }
}

/** A connector of which the test is the platform. */
export class ScriptedConnector implements Connector {
  readonly type = 'scripted'
  readonly capabilities: Capabilities
  readonly listens: ScriptedListen[] = []
  readonly sent: OutgoingPart[] = []
  closed = 0
  /** Does with each listen as it begins; default: connects. */
  onListen: (listen: ScriptedListen) => void = ({ inlet }) => inlet.connected('@gateway')
  onSend: (part: OutgoingPart) => Promise<Sent> | Sent = () => ({ messageId: null })
  /** Whether listens end with their signal. */
  obeys = true
  #ids = 0

  constructor(capabilities: Partial<Capabilities> = {}) {
    this.capabilities = {
      maxLength: 1_000,
      threads: true,
      attachments: true,
      idempotent: false,
      trusted: false,
      ...capabilities,
    }
  }

  /** The newest listen. */
  get now(): ScriptedListen {
    return this.listens.at(-1)!
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    const listen = new ScriptedListen(inlet, signal, this.obeys)
    this.listens.push(listen)
    this.onListen(listen)
    await listen.promise
  }

  async send(part: OutgoingPart): Promise<Sent> {
    this.sent.push(part)
    return this.onSend(part)
  }

  async close(): Promise<void> {
    this.closed++
  }

  /** Someone of the platform writes; in a chat with the gateway alone unless it says otherwise. */
  receive(text: string, overrides: Partial<IncomingMessage> = {}): Promise<Received> {
    return this.now.inlet.receive(incoming(text, { id: `m${++this.#ids}`, ...overrides }))
  }
}

export function incoming(text: string, overrides: Partial<IncomingMessage> = {}): IncomingMessage {
  return {
    id: 'm1',
    peer: '7',
    thread: null,
    sender: { id: '7', name: 'Ada' },
    group: false,
    mentioned: false,
    text,
    ...overrides,
  }
}

/** A gateway with a channel `scripted`, which is connected, and an agent whose runs wait for the test. */
export async function startChannel<C extends ScriptedConnector = ScriptedConnector>(
  t: Test,
  { connector: entry, ...config }: ConfigOverrides & { readonly connector?: object } = {},
  connector = new ScriptedConnector() as C,
  options: NonNullable<Parameters<typeof startApp>[2]> = {},
) {
  const agent = new ScriptedAgent()
  const overrides: ConfigOverrides = {
    defaultAgent: 'scripted',
    agents: { scripted: { type: 'scripted' } },
    connectors: { mine: { type: 'scripted', allow: ['*'], ...entry } },
    ...config,
    lanes: { abortGraceMs: 20, ...config.lanes },
    shutdown: { drainTimeoutMs: 10, ...config.shutdown },
    channels: {
      stopGraceMs: 20,
      ...config.channels,
      reconnect: { backoffMs: 1, maxBackoffMs: 2, ...config.channels?.reconnect },
    },
  }
  const running = await startApp(t, overrides, {
    ...options,
    prepare: async (app) => {
      app.agent('scripted', () => agent)
      app.connector('scripted', () => connector)
      await options.prepare?.(app)
    },
  })
  return { ...running, agent, connector }
}
