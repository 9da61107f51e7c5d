import { parseOptions } from '../config/parse-options.js'
import type { JsonObject } from '../protocol/index.js'
import type { AgentFactoryContext } from './agent.js'
import { WorkerOptions } from './worker/options.js'
import { WorkerPool } from './worker/pool.js'

/**
 * An agent whose brains are processes in any language that connect over the WebSocket (docs/agents.md, worker).
 *
 * @throws ConfigError
 */
export function createWorkerAgent(
  options: JsonObject,
  { name }: Pick<AgentFactoryContext, 'name'>,
): WorkerPool {
  return new WorkerPool(name, parseOptions(WorkerOptions, options))
}
