import { access, constants } from 'node:fs/promises'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { nextCommand } from '../cli/next-command.js'
import { isLoopbackHost } from '../config/loopback.js'
import { resolveConfigPath } from '../config/paths.js'
import {
  type Check,
  type DoctorContext,
  error,
  info,
  inTime,
  type Observation,
  ok,
  reasonOf,
  warning,
} from './check.js'

type AgentConfig = NonNullable<DoctorContext['loaded']>['config']['agents'][string]

/** Modules are loaded with the configuration: what is wrong with one is found there. */
export const agents: Check = {
  name: 'agents',
  async run(context, signal) {
    if (context.loaded === null) return []
    const { agents, connectors, defaultAgent, routing } = context.loaded.config
    const found = await Promise.all(
      Object.entries(agents).map(async ([name, agent]) => [
        ...(await commandOf(name, agent, context)),
        ...(await backendOf(name, agent, context, signal)),
        ...keyOf(name, agent, context),
      ]),
    )
    const all = found.flat()
    if (Object.keys(connectors).length > 0 && defaultAgent === 'echo' && routing.length === 0) {
      const remedy = 'agents: {helper: {type: openai, …}}, defaultAgent: helper'
      all.push(warning('Everyone on the channels is answered by echo, which repeats what was said.', remedy))
    }
    if (all.some(({ severity }) => severity !== 'info')) return all
    return [ok(`${['echo', ...Object.keys(agents)].join(', ')}: what they need is there.`), ...all]
  },
}

async function commandOf(
  name: string,
  agent: AgentConfig,
  { loaded, env }: DoctorContext,
): Promise<Observation[]> {
  const { command } = agent as { command?: unknown }
  if (agent.type !== 'acp' || typeof command !== 'string') return []
  const candidates = /[\\/]/.test(command)
    ? [resolveConfigPath(loaded!.baseDir, command)]
    : (env.PATH ?? '').split(delimiter).map((folder) => join(folder, command))
  for (const path of candidates) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (runs) return []
  }
  const message = `agents.${name}.command: ${command} is no program that this user may run.`
  return [error(message, 'Install it, or write its whole path.')]
}

async function backendOf(
  name: string,
  agent: AgentConfig,
  { online, peerTimeoutMs }: DoctorContext,
  signal: AbortSignal,
): Promise<Observation[]> {
  const { baseUrl, url } = agent as { baseUrl?: unknown; url?: unknown }
  const key = agent.type === 'openai' ? 'baseUrl' : 'url'
  const text = agent.type === 'openai' ? baseUrl : agent.type === 'http' ? url : undefined
  if (typeof text !== 'string' || !URL.canParse(text)) return []
  const { hostname, port, protocol } = new URL(text)
  if (!online && !isLoopbackHost(hostname)) {
    return [
      info(
        `agents.${name}.${key}: ${hostname} is elsewhere and was not asked.`,
        nextCommand('doctor --online'),
      ),
    ]
  }
  try {
    const number = Number(port) || (protocol === 'https:' ? 443 : 80)
    const host = hostname.replace(/^\[|\]$/g, '')
    await inTime(peerTimeoutMs, signal, (ending) => reach(host, number, ending))
    return []
  } catch (thrown) {
    const message = `agents.${name}.${key}: nothing answers at ${hostname}:${port || protocol}: ${reasonOf(thrown)}`
    return [error(message, 'Start it, or correct the address.')]
  }
}

/** Whether something listens there; it is told nothing, so that no model is paid for it. */
function reach(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}

/** Variables are those of this shell; the gateway's may be others. */
function keyOf(name: string, agent: AgentConfig, { env }: DoctorContext): Observation[] {
  return Object.entries(agent)
    .filter(([option, value]) => option.endsWith('Env') && typeof value === 'string' && !env[value])
    .map(([option, variable]) =>
      warning(
        `agents.${name}.${option}: ${variable} is not set here.`,
        `export ${variable}=…   where the gateway is started`,
      ),
    )
}
