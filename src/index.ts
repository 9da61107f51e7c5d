/** The public surface for those who embed the gateway or extend it with plugins. */
export type {
  Agent,
  AgentFactory,
  AgentFactoryContext,
  AgentReply,
  RunContext,
  Skill,
} from './agents/agent.js'
export { type AppOptions, buildApp } from './app.js'
export type { Principal } from './auth/principal.js'
export { loadConfig } from './config/load.js'
export { ConfigError } from './config/problems.js'
export { type Config, ConfigSchema } from './config/schema.js'
export type * from './connectors/connector.js'
export type { Hook, HookContext, HookName, HookOptions } from './hooks/hooks.js'
export type { Journal } from './journal/journal.js'
export type { Incoming } from './lanes/intake.js'
export { LogTap } from './logs/log-tap.js'
export type { Handler, RequestContext } from './methods/registry.js'
export * from './protocol/index.js'
export { VERSION } from './version.js'
