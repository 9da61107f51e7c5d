import type { ResultOf } from '../protocol/contract.js'
import { GatewayError } from '../protocol/errors.js'
import { type gatewayHealth, gatewayInfo } from '../protocol/methods/gateway.js'
import { CliError } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { isRefused, unreachable } from './connect-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { formatDuration } from './format.js'
import { getJson } from './http-get.js'
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
  readonly health: Health | null
  readonly info: Info | null
  /** Why `info` is missing, though it runs or something else is there. */
  readonly infoError: string | null
}

/** `lurkbot gateway status`: exit code 0 when it runs, 3 when it does not, 1 when it does not answer. */
export async function status(options: StatusOptions): Promise<ExitCode> {
  const report = await inspect(await findTarget(options))
  console.log(options.json ? JSON.stringify(report, null, 2) : describe(report))
  return { running: EXIT.OK, unresponsive: EXIT.FAILED, stopped: EXIT.NOT_RUNNING }[report.status]
}

async function inspect(target: Target): Promise<StatusReport> {
  const { url, running } = target
  const nothing = { url, health: null, info: null, infoError: null }
  let health: Health
  try {
    health = await askHealth(target)
  } catch (error) {
    if (running === null && isRefused(error)) return { status: 'stopped', pid: null, ...nothing }
    const infoError = unreachable(error, target).message
    return { status: 'unresponsive', pid: running?.pid ?? null, ...nothing, infoError }
  }
  try {
    const info = await askInfo(target)
    return { status: 'running', pid: info.pid, url, health, info, infoError: null }
  } catch (error) {
    if (!(error instanceof CliError || error instanceof GatewayError)) throw error
    return { status: 'running', pid: running?.pid ?? null, url, health, info: null, infoError: error.message }
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

function describe(report: StatusReport): string {
  const { status, url, pid, health, info, infoError } = report
  if (status === 'stopped')
    return `The gateway is not running at ${url}.\n  lurkbot gateway start   starts it`
  if (status === 'unresponsive') {
    const first =
      pid === null ? [] : [`The gateway (process ${pid}) runs but does not answer; its log may say why.`]
    return [...first, infoError].join('\n')
  }
  const rows: [string, string][] = [['address', url]]
  if (pid !== null) rows.push(['process', String(pid)])
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
  return ['The gateway is running.', ...lines, ...trouble].join('\n')
}
