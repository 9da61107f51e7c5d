import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { type LoadedConfig, loadConfig } from '../../config/load.js'
import { profileOf, resolveConfigPath, resolveHome } from '../../config/paths.js'
import { journalPath } from '../../journal/journal-path.js'
import { stopLimitMs } from '../../lifecycle/stop-limit.js'
import type { ServicePlace, ServicePlan } from './service-manager.js'
import { type Scope, unitName } from './systemd-unit.js'

/** Which gateway the service is, by the profile and the state folder of `env`. */
export function findPlace(scope: Scope, env: NodeJS.ProcessEnv): ServicePlace {
  const profile = profileOf(env)
  const home = resolveHome(env, process.cwd())
  const program = fileURLToPath(new URL('../main.js', import.meta.url))
  const common = { profile, node: process.execPath, program }
  if (scope === 'user') return { ...common, home, environmentFile: join(home, 'environment') }
  // Read by the system's own systemd: not from a folder where the gateway's user could put a link to what others must not see.
  const environmentFile = `/etc/${unitName({ profile })}/environment`
  return { ...common, home: `/var/lib/${unitName({ profile })}`, environmentFile }
}

export interface Planned {
  readonly plan: ServicePlan
  /** What the service will not have of what this shell has. */
  readonly missing: readonly string[]
  /** Whether there are agents that are programs of their own. */
  readonly hasPrograms: boolean
  /** Where the journal is if not in the state folder. */
  readonly journalFolder: string | null
}

/** The environment of the service: not that of this shell, as far as it is about the gateway. */
export function serviceEnv(place: ServicePlace, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(env).filter(([name]) => !name.startsWith('LURKBOT_GATEWAY_'))
  return { ...Object.fromEntries(inherited), ...readEnvironment(place), LURKBOT_HOME: place.home }
}

function readEnvironment({ environmentFile }: ServicePlace): NodeJS.Dict<string> {
  return existsSync(environmentFile) ? parseEnv(readFileSync(environmentFile, 'utf8')) : {}
}

/** Reads the configuration as the service will. Throws `ConfigError`. */
export async function planService(place: ServicePlace, env: NodeJS.ProcessEnv): Promise<Planned> {
  const own = readEnvironment(place)
  const loaded = await loadConfig({ env: serviceEnv(place, env) })
  const { config } = loaded
  const needed = [
    ...Object.keys(env).filter((name) => name.startsWith('LURKBOT_GATEWAY_')),
    ...namedVariables(config),
  ]
  const programs = programFolders(loaded)
  const journal = journalFolder(loaded)
  const writable = [...new Set([...programs, ...(journal === null ? [] : [journal])])]
  return {
    plan: { stopTimeoutMs: stopLimitMs(config), writable },
    missing: [...new Set(needed)].filter((name) => env[name] !== undefined && own[name] === undefined).sort(),
    hasPrograms: programs.length > 0,
    journalFolder: journal,
  }
}

/** Where agents of type `acp` work. */
function programFolders({ config, baseDir }: LoadedConfig): string[] {
  const agents = Object.values(config.agents) as { type?: unknown; cwd?: unknown }[]
  const folders = agents.flatMap(({ type, cwd }) =>
    type === 'acp' && typeof cwd === 'string' ? [resolveConfigPath(baseDir, cwd)] : [],
  )
  return [...new Set(folders)]
}

function journalFolder(loaded: LoadedConfig): string | null {
  const path = journalPath(loaded)
  return path === null || path.startsWith(`${loaded.home}${sep}`) ? null : dirname(path)
}

/** The variables that options such as `apiKeyEnv` name. */
function namedVariables(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key.endsWith('Env') && typeof inner === 'string' ? [inner] : namedVariables(inner),
  )
}
