import { profileOf, resolveHome } from '../config/paths.js'
import type { ResultOf } from '../protocol/contract.js'
import { GatewayError } from '../protocol/errors.js'
import { type gatewayHealth, gatewayInfo } from '../protocol/methods/gateway.js'
import { CliError } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { isRefused, unreachable } from './connect-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { formatDuration } from './format.js'
import { getJson } from './http-get.js'
import { nextCommands } from './next-command.js'
import { readPidFile } from './pid-file.js'
import { findTarget, type Target, type TargetOptions } from './target.js'

const TIMEOUT_MS = 5_000

type Info = ResultOf<typeof gatewayInfo>
type Health = ResultOf<typeof gatewayHealth>

export interface StatusOptions extends TargetOptions {
  readonly json?: boolean
}

export interface StatusReport {
  /** `unresponsive`: something is there, but it does not answer as a gateway does. */
  readonly status: 'running' | 'unresponsive' | 'stopped'
  readonly url: string
  readonly pid: number | null
  /** Null where another gateway than that of the state folder answers. */
  readonly home: string | null
  readonly profile: string | null
  /** Null: its log goes to its standard output, or nothing is known of it. */
  readonly logFile: string | null
  /** What the pid file says of a gateway that ended without stopping. */
  readonly stale: { readonly pid: number; readonly startedAt: number } | null
  readonly health: Health | null
  readonly info: Info | null
  /** Why `info` is missing, though it runs or something else is there. */
  readonly infoError: string | null
}

/** `lurkbot gateway status`: exit code 0 when it runs, 3 when it does not, 1 when it does not answer. */
export async function status(options: StatusOptions): Promise<ExitCode> {
  const target = await findTarget(options)
  const report = await inspect(target)
  console.log(options.json ? JSON.stringify(report, null, 2) : describe(report, target))
  return { running: EXIT.OK, unresponsive: EXIT.FAILED, stopped: EXIT.NOT_RUNNING }[report.status]
}

/** What there is to say of a gateway. */
export async function inspect(target: Target): Promise<StatusReport> {
  const { url, running } = target
  const nothing = { url, ...aboutFolder(target), health: null, info: null, infoError: null }
  let health: Health
  try {
    health = await askHealth(target)
  } catch (error) {
    if (running === null && isRefused(error)) return { status: 'stopped', pid: null, ...nothing }
    const infoError = unreachable(error, target).message
    return { status: 'unresponsive', pid: running?.pid ?? null, ...nothing, infoError }
  }
  const found = { ...nothing, ...(running === null ? OTHER_FOLDER : {}), status: 'running', health } as const
  try {
    const info = await askInfo(target)
    return { ...found, pid: info.pid, info }
  } catch (error) {
    if (!(error instanceof CliError || error instanceof GatewayError)) throw error
    return { ...found, pid: running?.pid ?? null, infoError: error.message }
  }
}

const OTHER_FOLDER = { home: null, profile: null, logFile: null }

type AboutFolder = Pick<StatusReport, 'home' | 'profile' | 'logFile' | 'stale'>

function aboutFolder({ local, running }: Target): AboutFolder {
  if (!local) return { ...OTHER_FOLDER, stale: null }
  const home = resolveHome(process.env, process.cwd())
  const left = running === null ? readPidFile(home) : null
  return {
    home,
    profile: profileOf(process.env),
    logFile: running?.logFile ?? null,
    stale: left === null ? null : { pid: left.pid, startedAt: left.startedAt },
  }
}

async function askHealth(target: Target): Promise<Health> {
  const body = (await getJson(target, '/health', TIMEOUT_MS)) as Partial<Health> | null
  if (typeof body?.status !== 'string' || typeof body.checks !== 'object') throw new Error('not a gateway')
  return body as Health
}

async function askInfo(target: Target): Promise<Info> {
  const client = createCliClient(target, { reconnect: false, subscribe: [], connectTimeoutMs: TIMEOUT_MS })
  await connect(client, target)
  try {
    return await client.request(gatewayInfo, {}, { timeoutMs: TIMEOUT_MS })
  } finally {
    client.close()
  }
}

/** For people. */
export function describe(report: StatusReport, { local, running }: Target): string {
  const { status, url, pid, home, profile, logFile, health, info, infoError } = report
  if (status === 'stopped') return describeStopped(report)
  if (status === 'unresponsive') {
    if (pid === null) return infoError!
    const advice = nextCommands([['gateway logs', 'may say why']])
    return [`The gateway (process ${pid}) runs but does not answer at ${url}.`, infoError, ...advice].join(
      '\n  ',
    )
  }
  const rows: [string, string][] = [['address', url]]
  if (pid !== null) rows.push(['process', String(pid)])
  if (profile !== null) rows.push(['profile', profile])
  if (home !== null) rows.push(['state', home])
  if (home !== null) rows.push(['log', logFile ?? 'its standard output'])
  if (health) {
    rows.push(['version', health.version], ['uptime', formatDuration(health.uptimeMs)])
    const troubles = Object.entries(health.checks).filter(([, check]) => check.status !== 'ok')
    rows.push(['health', health.status])
    for (const [name, check] of troubles) rows.push(['', `${name}: ${check.message ?? check.status}`])
  }
  if (info) {
    const { active, running, pending } = info.lanes
    rows.push(['connections', String(info.connections)])
    rows.push(['lanes', `${active} active, ${running} running, ${pending} events waiting or running`])
  }
  const lines = rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}`)
  const trouble = infoError === null ? [] : [infoError]
  if (local && running === null) {
    trouble.push(
      `It is not that of the state folder ${resolveHome(process.env, process.cwd())}: none of that runs.`,
    )
  }
  return ['The gateway is running.', ...lines, ...trouble].join('\n')
}

function describeStopped({ url, stale }: StatusReport): string {
  const advice = nextCommands([
    ['gateway start --daemon', 'starts it in the background'],
    ['gateway start', 'starts it here'],
  ])
  const left =
    stale === null
      ? []
      : [
          `The last one (process ${stale.pid}, started ${new Date(stale.startedAt).toISOString()}) has ended without stopping: its pid`,
          'file is still there. What it had accepted goes on at the next start.',
        ]
  return [`The gateway is not running at ${url}.`, ...left, ...advice.map((line) => `  ${line}`)].join('\n')
}
