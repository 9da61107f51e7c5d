import { isDeepStrictEqual } from 'node:util'
import { problemsBelow } from '../config/nested.js'
import { formatPath } from '../config/paths.js'
import { ConfigError, type Problem } from '../config/problems.js'
import { didYouMean } from '../config/suggest.js'
import type { JsonObject } from '../protocol/index.js'
import type { SkillSelection } from '../skills/skill.js'
import type { Agent, AgentFactory, AgentFactoryContext, Log, RetryPolicy } from './agent.js'
import type { BreakerLimits } from './breaker.js'
import { createGate, type Gate } from './gate.js'
import { AgentUse } from './use.js'

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
  /** Its runs, which are waited for when it is replaced. */
  readonly use?: AgentUse
}

/** Agents that were made and do not serve yet. One of the two has to follow. */
export interface PreparedAgents {
  /** From now on they serve. Those that they replace end their runs, and are closed then. */
  apply(): void
  discard(): Promise<void>
}

type Agents = Readonly<Record<string, AgentConfig>>

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
  #entries = new Map<string, AgentEntry>()
  /** What the entries were made from. */
  #configs: Agents = {}
  /** Those that were replaced and whose runs have not ended. */
  readonly #retired = new Set<AgentEntry>()
  readonly #listeners: ((entry: AgentEntry, before: AgentEntry | undefined) => void)[] = []
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
  async build(agents: Agents, context: AgentBuildContext): Promise<void> {
    if (this.#built) throw new Error('the agents are built already')
    this.#built = true
    this.#log = context.log
    const prepared = await this.prepare(agents, context)
    prepared.apply()
  }

  /**
   * Builds those agents whose configuration is another one than that of the agents that serve.
   *
   * @throws ConfigError with the problems of all of them; then nothing is left open
   */
  async prepare(agents: Agents, context: AgentBuildContext): Promise<PreparedAgents> {
    const wanted: Agents = Object.hasOwn(agents, 'echo') ? agents : { ...agents, echo: { type: 'echo' } }
    const changed = Object.entries(wanted).filter(
      ([name, config]) => !this.#entries.has(name) || !isDeepStrictEqual(config, this.#configs[name]),
    )
    const built = await Promise.all(
      changed.map(async ([name, config]) => {
        try {
          return await this.#buildOne(name, config, context)
        } catch (error) {
          return problemsBelow(formatPath(['agents', name]), 'agent', error, context.sources)
        }
      }),
    )
    const made = new Map<string, AgentEntry>()
    const problems: Problem[] = []
    for (const result of built) {
      if ('agent' in result) made.set(result.name, result)
      else problems.push(...result)
    }
    const discard = async () => {
      await Promise.all([...made.values()].map((entry) => this.#closeOne(entry)))
    }
    if (problems.length === 0) return { apply: () => this.#apply(wanted, made), discard }
    await discard()
    throw new ConfigError(problems)
  }

  #apply(wanted: Agents, made: ReadonlyMap<string, AgentEntry>): void {
    const before = this.#entries
    this.#configs = wanted
    this.#entries = new Map(Object.keys(wanted).map((name) => [name, made.get(name) ?? before.get(name)!]))
    for (const [name, entry] of made) for (const tell of this.#listeners) tell(entry, before.get(name))
    for (const [name, entry] of before) if (this.#entries.get(name) !== entry) this.#retire(entry)
  }

  /** What waited for it looks for its successor; what runs ends with it. */
  #retire(entry: AgentEntry): void {
    this.#retired.add(entry)
    entry.gate?.dissolve()
    void entry.use?.idle().then(async () => {
      // Whoever closes all of them closes those as well.
      if (this.#closed === undefined) await this.#closeOne(entry)
      this.#retired.delete(entry)
    })
  }

  /** Told of each agent that begins to serve, and of the one that it replaces. */
  onBuilt(listener: (entry: AgentEntry, before: AgentEntry | undefined) => void): void {
    this.#listeners.push(listener)
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
    return { name, type, agent, timeoutMs, retry, skills, gate, use: new AgentUse() }
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
    const all = [...this.#entries.values(), ...this.#retired]
    await Promise.all(all.map((entry) => this.#closeOne(entry)))
  }

  async #closeOne({ name, agent, gate }: AgentEntry): Promise<void> {
    try {
      gate?.close()
      await agent.close?.()
    } catch (err) {
      this.#log?.error({ err, agent: name }, 'an agent failed to close')
    }
  }
}
