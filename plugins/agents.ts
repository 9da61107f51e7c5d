import fp from 'fastify-plugin'
import type { AgentFactory } from '../src/agents/agent.js'
import { AgentRegistry } from '../src/agents/registry.js'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    agents: AgentRegistry
    /** Adds a type of agent that entries under `agents:` may name. */
    agent(type: string, factory: AgentFactory): void
  }
}

export interface AgentsPluginOptions {
  config: Config
  live: LiveConfig
  baseDir: string
  /** Who set each value, for messages. */
  sources?: ReadonlyMap<string, string>
}

/** The agents: types are added while plugins load, configured ones are made when all have. */
export default fp<AgentsPluginOptions>(
  async (app, { config, live, baseDir, sources }) => {
    const agents = new AgentRegistry()
    app.decorate('agents', agents)
    app.decorate('agent', (type, factory) => agents.register(type, factory))
    const context = { log: app.log, env: process.env }
    app.addHook('onReady', async () => {
      await agents.build(config.agents, { ...context, baseDir, sources })
    })
    live.onChange(['agents'], ({ after, baseDir, sources }) =>
      agents.prepare(after.agents, { ...context, baseDir, sources }),
    )
    app.addHook('onClose', async () => app.closing.step('agents', () => agents.close(), OTHERS_SHARE))
  },
  { name: 'agents', dependencies: ['closing'], fastify: '5.x' },
)
