import { Readable, Writable } from 'node:stream'
import {
  type AgentCapabilities,
  type ClientConnection,
  type ClientContext,
  client,
  ndJsonStream,
  PROTOCOL_VERSION,
} from '@agentclientprotocol/sdk'
import { GatewayError } from '../../protocol/index.js'
import { VERSION } from '../../version.js'
import { abortable } from '../abort.js'
import type { Log } from '../agent.js'
import { Deadline } from '../deadline.js'
import { Child, type ChildOptions } from './child.js'
import { agentFailure, startFailure } from './failures.js'
import type { AcpOptions } from './options.js'
import { permit } from './permission.js'
import { logErrors } from './stderr.js'
import { quiet } from './stream.js'
import type { Turn } from './turn.js'

export interface LinkOptions
  extends ChildOptions,
    Pick<AcpOptions, 'permission' | 'maxMessageBytes' | 'startTimeoutMs'> {
  /** The agent's name in the configuration. */
  readonly name: string
  /** What must not get into the log. */
  readonly secrets: readonly string[]
  readonly log: Log
  /** Ends the start. */
  readonly signal: AbortSignal
}

/** A process of the agent and the connection to it, which live and end together. */
export class Link {
  /** Who works, by the agent's session id. */
  readonly turns = new Map<string, Turn>()
  /** What the process can do besides what every agent can. */
  capabilities: AgentCapabilities = {}
  /** Resolves once both have ended with how the process did. */
  readonly ended: Promise<string>
  readonly #child: Child
  readonly #connection: ClientConnection

  private constructor(child: Child, options: LinkOptions) {
    this.#child = child
    const { stdin, stdout, stderr } = child.process
    logErrors(stderr, options.name, options.secrets, options.log)
    const input = Readable.toWeb(stdout) as ReadableStream<Uint8Array>
    const stream = quiet(ndJsonStream(Writable.toWeb(stdin), input, options), (update) =>
      this.turns.get(update.sessionId)?.take(update),
    )
    this.#connection = client({ name: 'lurkbot-gateway' })
      .onRequest('session/request_permission', async ({ params, signal }) => {
        const turn = this.turns.get(params.sessionId)
        if (turn === undefined) return { outcome: { outcome: 'cancelled' } }
        return await permit(params, options.permission, turn.run, signal)
      })
      .connect(stream)
    // One is of no use without the other.
    this.#connection.closed.then(() => child.stop())
    this.ended = child.ended.then((how) => {
      this.#connection.close()
      return how
    })
  }

  /** @throws GatewayError when the program cannot be started or is no agent that the gateway can talk to */
  static async start(options: LinkOptions): Promise<Link> {
    const child = await Child.start(options).catch((error: unknown) => {
      throw startFailure(error, options.command)
    })
    const link = new Link(child, options)
    try {
      await link.#initialize(options)
      return link
    } catch (error) {
      const died = link.over
      await link.close()
      if (!died) throw agentFailure(error, options.secrets)
      const message = `The agent’s process ended before it was ready (${await link.ended}).`
      throw new GatewayError('UNAVAILABLE', message, { cause: error })
    }
  }

  async #initialize({ startTimeoutMs, signal }: LinkOptions): Promise<void> {
    const deadline = new Deadline(signal)
    const message = `The agent’s process was not ready within ${startTimeoutMs} ms.`
    deadline.limit(startTimeoutMs, new GatewayError('AGENT_TIMEOUT', message))
    try {
      const request = this.agent.request('initialize', {
        protocolVersion: PROTOCOL_VERSION,
        // What an agent does to files or runs is done by itself, in its own process: the gateway lends it nothing.
        clientCapabilities: { fs: { readTextFile: false, writeTextFile: false }, terminal: false },
        clientInfo: { name: 'lurkbot-gateway', title: 'LurkBot Gateway', version: VERSION },
      })
      const { protocolVersion, agentCapabilities } = await abortable(request, deadline.signal)
      if (protocolVersion !== PROTOCOL_VERSION) {
        const message = `The agent speaks version ${protocolVersion} of the Agent Client Protocol, the gateway ${PROTOCOL_VERSION}.`
        throw new GatewayError('NOT_LINKED', message)
      }
      this.capabilities = agentCapabilities ?? {}
    } finally {
      deadline.close()
    }
  }

  get agent(): ClientContext {
    return this.#connection.agent
  }

  /** Whether nothing goes through any more. */
  get over(): boolean {
    return this.#connection.signal.aborted
  }

  /** Ends the process. Twice is fine. */
  async close(): Promise<void> {
    await this.#child.stop()
    await this.ended
  }
}
