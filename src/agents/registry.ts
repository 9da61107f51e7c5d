import { problemsBelow } from '../config/nested.js'
import { formatPath } from '../config/paths.js'
import { ConfigError, type Problem } from '../config/problems.js'
import { didYouMean } from '../config/suggest.js'
import type { JsonObject } from '../protocol/index.js'
import type { SkillSelection } from '../skills/skill.js'
import type { Agent, AgentFactory, AgentFactoryContext, Log, RetryPolicy } from './agent.js'
import type { BreakerLimits } from './breaker.js'
import { createGate, type Gate } from './gate.js'

/** An agent's entry under `agents:`; further keys are the options of its type. */
export interface AgentConfig {
  readonly type: string
  readonly timeoutMs?: number
  readonly retry?: Partial<RetryPolicy>
  readonly concurrency?: number
  readonly breaker?: BreakerLimits
  readonly skills?: SkillSelection
  readonly [option: string]: unknown
}

/** An agent that serves. */
export interface AgentEntry {
  readonly name: string
  readonly type: string
  readonly agent: Agent
  /** How long one try may take; default: the lanes'. */
  readonly timeoutMs?: number
  /** What it leaves out is the lanes'. */
  readonly retry?: Partial<RetryPolicy>
  /** Which skills its runs are given; default: `all`. */
  readonly skills?: SkillSelection
  /** Where its runs wait that it cannot take yet; left out: it takes whatever comes. */
  readonly gate?: Gate
}

export interface AgentBuildContext extends Omit<AgentFactoryContext, 'name'> {
  /** Who set each key of the configuration, for messages. */
  readonly sources?: ReadonlyMap<string, string>
}

/** A type's file is loaded when the first agent of that type is built. */
const BUILT_IN: Readonly<Record<string, AgentFactory>> = {
  echo: async (options) => (await import('./echo.js')).createEchoAgent(options),
  module: async (options, context) => (await import('./module.js')).createModuleAgent(options, context),
  acp: async (options, context) => (await import('./acp.js')).createAcpAgent(options, context),
  http: async (options, context) => (await import('./http.js')).createHttpAgent(options, context),
  openai: async (options, context) => (await import('./openai.js')).createOpenAiAgent(options, context),
  worker: async (options, context) => (await import('./worker.js')).createWorkerAgent(options, context),
}

/** Whether agents of that type need no plugin. */
export const isBuiltIn = (type: string): boolean => Object.hasOwn(BUILT_IN, type)

/** Which types of agents there are, and the agents of the configuration (spec §4). */
export class AgentRegistry {
  readonly #factories = new Map(Object.entries(BUILT_IN))
  readonly #entries = new Map<string, AgentEntry>()
  #log: Log | undefined
  #built = false
  #closed: Promise<void> | undefined

  /** Adds a type of agents. @throws Error when there is one of that name, or the agents are built already. */
  register(type: string, factory: AgentFactory): void {
    if (this.#built) throw new Error(`agent type '${type}' comes too late: the agents are built already`)
    if (this.#factories.has(type)) throw new Error(`agent type '${type}' is registered already`)
    this.#factories.set(type, factory)
  }

  /**
   * Builds every configured agent, and `echo` where no agent has that name. Nothing is left open when it fails.
   *
   * @throws ConfigError with the problems of all of them
   */
  async build(agents: Readonly<Record<string, AgentConfig>>, context: AgentBuildContext): Promise<void> {
    if (this.#built) throw new Error('the agents are built already')
    this.#built = true
    this.#log = context.log
    const wanted = Object.hasOwn(agents, 'echo') ? agents : { ...agents, echo: { type: 'echo' } }
    const built = await Promise.all(
      Object.entries(wanted).map(async ([name, config]) => {
        try {
          return await this.#buildOne(name, config, context)
        } catch (error) {
          return problemsBelow(formatPath(['agents', name]), 'agent', error, context.sources)
        }
      }),
    )
    const problems: Problem[] = []
    for (const result of built) {
      if ('agent' in result) this.#entries.set(result.name, result)
      else problems.push(...result)
    }
    if (problems.length === 0) return
    await this.close()
    throw new ConfigError(problems)
  }

  async #buildOne(name: string, config: AgentConfig, context: AgentBuildContext): Promise<AgentEntry> {
    const { type, timeoutMs, retry, concurrency, breaker, skills, ...options } = config
    const factory = this.#factories.get(type)
    if (factory === undefined) {
      const known = [...this.#factories.keys()]
      const message = `expected a known agent type (${known.join(', ')}), found ${JSON.stringify(type)}`
      throw new ConfigError([{ path: 'type', message: `${message}${didYouMean(type, known)}` }])
    }
    const { log, baseDir, env } = context
    const agent = await factory(options as JsonObject, { name, log, baseDir, env })
    const gate = createGate({ concurrency, breaker, capacity: agent.capacity })
    return { name, type, agent, timeoutMs, retry, skills, gate }
  }

  get(name: string): AgentEntry | undefined {
    return this.#entries.get(name)
  }

  /** In the order of the configuration; a default `echo` comes last. */
  names(): string[] {
    return [...this.#entries.keys()]
  }

  /** Closes every agent; one that fails is logged and keeps no other open. Closing twice is fine. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await Promise.all(
      [...this.#entries.values()].map(async ({ name, agent, gate }) => {
        try {
          gate?.close()
          await agent.close?.()
        } catch (err) {
          this.#log?.error({ err, agent: name }, 'an agent failed to close')
        }
      }),
    )
  }
}
