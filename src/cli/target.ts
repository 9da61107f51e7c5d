import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { checkServerIdentity, rootCertificates } from 'node:tls'
import type { NodeClientOptions } from '../client/node.js'
import { type LoadedConfig, loadConfig } from '../config/load.js'
import { resolveConfigPath, resolveHome } from '../config/paths.js'
import { ConfigError, formatProblems } from '../config/problems.js'
import type { Config } from '../config/schema.js'
import { type Address, localAddress, parseAddress } from './address.js'
import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import { findRunning, type PidRecord } from './pid-file.js'

/** The options that every command which talks to a gateway has. */
export interface TargetOptions {
  readonly url?: string
  readonly tokenFile?: string
  readonly config?: string
}

/** Which gateway to talk to, and how. */
export interface Target extends Address {
  readonly token: string | undefined
  /** Where a token was looked for, in order, for the message when there was none or a wrong one. */
  readonly tokenPlaces: readonly string[]
  readonly tls: NodeClientOptions['tls']
  /** It is the gateway of this state folder, whether it runs or not. */
  readonly local: boolean
  /** The running gateway of the state folder, if that is the target. */
  readonly running: PidRecord | null
}

/**
 * Finds the gateway: `--url`; else the running one of the state folder, by its pid file; else where the configuration
 * says that it would be. The tokens of this machine's configuration are only for the gateway of this machine.
 */
export async function findTarget(options: TargetOptions, env = process.env): Promise<Target> {
  const home = resolveHome(env, process.cwd())
  const running = findRunning(home)
  const given = options.url === undefined ? null : parseAddress(options.url)
  const local = await findLocal(options, env, running)
  if (given === null && local.address === null) throw local.error
  const address = given ?? local.address!
  const isLocal = address.url === local.address?.url
  const loaded = isLocal ? local.loaded : null
  const places = tokenPlaces(options, env, isLocal ? { home, loaded } : null)
  const token = places.map(({ read }) => read()).find((found) => found !== undefined)
  return {
    ...address,
    token,
    tokenPlaces: places.map(({ name }) => name),
    tls: loaded?.config.tls.enabled ? trustOwnCertificate(loaded) : undefined,
    local: isLocal,
    running: isLocal ? running : null,
  }
}

type Local =
  | { readonly address: Address; readonly loaded: LoadedConfig | null }
  | { readonly address: null; readonly loaded: null; readonly error: ConfigError }

async function findLocal(
  options: TargetOptions,
  env: NodeJS.ProcessEnv,
  running: PidRecord | null,
): Promise<Local> {
  const configPath = options.config ?? running?.configFile ?? undefined
  try {
    const loaded = await loadConfig({ env, configPath })
    const { host, port, basePath, tls } = loaded.config
    return { address: running ?? localAddress({ host, port, basePath, tls: tls.enabled }), loaded }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    if (running === null) return { address: null, loaded: null, error }
    // The running gateway took an earlier version of it; it can still be asked, if a token is found elsewhere.
    process.stderr.write(`${formatProblems(error)}\n`)
    return { address: running, loaded: null }
  }
}

interface TokenPlace {
  readonly name: string
  read(): string | undefined
}

function tokenPlaces(
  options: TargetOptions,
  env: NodeJS.ProcessEnv,
  local: { home: string; loaded: LoadedConfig | null } | null,
): TokenPlace[] {
  const places: TokenPlace[] = []
  if (options.tokenFile !== undefined) {
    const path = resolve(options.tokenFile)
    // A file that was named and does not hold a token is an error; nothing else is tried behind the user's back.
    return [{ name: `--token-file ${path}`, read: () => readTokenFile(path) }]
  }
  places.push({ name: 'the environment variable LURKBOT_TOKEN', read: () => env.LURKBOT_TOKEN || undefined })
  if (local === null) return places
  const { loaded } = local
  if (loaded !== null) {
    const name = `auth.tokens of ${loaded.configFile ?? 'the configuration'} and its environment variables`
    places.push({ name, read: () => adminToken(loaded.config) })
  }
  const path = join(local.home, 'token')
  places.push({ name: path, read: () => readTokenFile(path, 'optional') })
  return places
}

function readTokenFile(path: string, optional?: 'optional'): string | undefined {
  try {
    const token = readFileSync(path, 'utf8').trim()
    if (token !== '') return token
    if (optional) return undefined
    throw new CliError(EXIT.USAGE, `--token-file ${path}: the file is empty`)
  } catch (error) {
    if (error instanceof CliError) throw error
    if (optional) return undefined
    throw new CliError(EXIT.USAGE, `--token-file: ${(error as Error).message}`)
  }
}

/** The first token that may do everything, or else the first one. */
function adminToken(config: Config): string | undefined {
  const tokens = config.auth.tokens.map((entry) => (typeof entry === 'string' ? { token: entry } : entry))
  const admin = tokens.find(({ role, scopes }) =>
    scopes === undefined ? role === undefined || role === 'admin' : scopes.includes('admin'),
  )
  return (admin ?? tokens[0])?.token
}

/** The certificate in the configuration is trusted as it is, whatever name it is for: the address is our own. */
function trustOwnCertificate({ config, baseDir }: LoadedConfig): NodeClientOptions['tls'] {
  if (config.tls.cert === undefined) return undefined
  try {
    const pem = readFileSync(resolveConfigPath(baseDir, config.tls.cert), 'utf8')
    const own = new X509Certificate(pem).fingerprint256
    return {
      ca: [...rootCertificates, pem],
      allowPartialTrustChain: true,
      checkServerIdentity: (host, peer) =>
        peer.fingerprint256 === own ? undefined : checkServerIdentity(host, peer),
    }
  } catch {
    // Unreadable for this user: the connection then says what it does not trust.
    return undefined
  }
}
