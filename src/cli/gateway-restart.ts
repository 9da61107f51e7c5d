import { setTimeout as delay } from 'node:timers/promises'
import { resolveHome } from '../config/paths.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { getJson } from './http-get.js'
import { nextCommand, nextCommands } from './next-command.js'
import { isRunning, type PidRecord, type RestartRecord, readPidFile, removePidFile } from './pid-file.js'
import { signalGateway } from './signal-gateway.js'
import { findTarget } from './target.js'

/** How often to look what the gateway has written down of it. */
const POLL_MS = 50
const HEALTH_TIMEOUT_MS = 2_000

export interface RestartOptions {
  /** Seconds. */
  readonly timeout: number
  readonly json?: boolean
}

export interface RestartReport {
  /** `refused`: it runs as it was; `failed`: it has ended; `late`: it is still at it, or not ready; `stopped`: it did not run. */
  readonly status: 'restarted' | 'refused' | 'failed' | 'late' | 'stopped'
  readonly pid: number | null
  readonly url: string | null
  readonly version: string | null
  /** Of the one that runs now: milliseconds since the Unix epoch. */
  readonly startedAt: number | null
  /** From the signal until it was ready again. */
  readonly tookMs: number | null
  /** What was wrong. */
  readonly message: string | null
}

interface Result extends RestartReport {
  readonly exitCode: ExitCode
}

/** `lurkbot gateway restart`: asks the gateway of the state folder to begin anew, and waits until it is ready. */
export async function restart({ timeout, json }: RestartOptions): Promise<ExitCode> {
  const home = resolveHome(process.env, process.cwd())
  const { exitCode, ...report } = await restartIn(home, timeout * 1000)
  if (json) console.log(JSON.stringify(report, null, 2))
  else if (report.status === 'restarted' || report.status === 'stopped') console.log(describe(report))
  else console.error(describe(report))
  return exitCode
}

async function restartIn(home: string, timeoutMs: number): Promise<Result> {
  const before = readPidFile(home)
  if (before === null || !isRunning(before)) {
    if (before !== null) removePidFile(home, before)
    return { ...result('stopped', null, null), exitCode: EXIT.NOT_RUNNING }
  }
  if (process.platform === 'win32') {
    const advice = nextCommands([
      ['gateway stop', 'stops it'],
      ['gateway start', 'starts it'],
    ])
    throw new CliError(EXIT.FAILED, 'This system has no signal for a restart in place.', advice)
  }
  const askedAt = performance.now()
  const deadline = askedAt + timeoutMs
  signalGateway(before, 'SIGUSR2', 'restarted')
  const { record, end } = await waitForEnd(home, before, deadline)
  if (end === null) return { ...result('late', record, LATE), exitCode: EXIT.FAILED }
  if (end.status !== 'restarted') {
    if (end.status === 'failed') removePidFile(home, record)
    const status = end.status === 'failed' ? 'failed' : 'refused'
    return { ...result(status, record, end.message), exitCode: end.exitCode }
  }
  const trouble = await waitForReady(deadline)
  if (trouble !== null) return { ...result('late', record, trouble), exitCode: EXIT.FAILED }
  const tookMs = Math.round(performance.now() - askedAt)
  return { ...result('restarted', record, null), tookMs, exitCode: EXIT.OK }
}

const LATE = 'It lets running agents finish, for as long as shutdown.drainTimeoutMs says.'

/** How the restart ended that comes after `before`, or that is under way then; null: it has not by the deadline. */
async function waitForEnd(
  home: string,
  before: PidRecord,
  deadline: number,
): Promise<{ record: PidRecord; end: RestartRecord | null }> {
  const last = before.lastRestart ?? null
  const number = last === null ? 1 : last.status === 'underway' ? last.number : last.number + 1
  for (;;) {
    // Before the file is read, so that the last words of one that ends are there.
    const running = isRunning(before)
    const found = readPidFile(home)
    const record = found?.pid === before.pid && found.identity === before.identity ? found : before
    const { lastRestart } = record
    if (lastRestart && lastRestart.number >= number && lastRestart.status !== 'underway') {
      return { record, end: lastRestart }
    }
    if (!running) {
      const message = 'It was stopped meanwhile, or its log says why.'
      return { record, end: { number, status: 'failed', message, exitCode: EXIT.FAILED } }
    }
    if (performance.now() > deadline) return { record, end: null }
    await delay(POLL_MS)
  }
}

/** Null: it is ready. Otherwise why it is not, by the deadline. */
async function waitForReady(deadline: number): Promise<string | null> {
  const target = await findTarget({})
  for (;;) {
    const trouble = await getJson(target, '/health/ready', HEALTH_TIMEOUT_MS).then(
      (body) => ((body as { status?: string } | null)?.status === 'failing' ? 'It is not ready.' : null),
      (error: Error) => `It does not answer: ${error.message}`,
    )
    if (trouble === null || performance.now() > deadline) return trouble
    await delay(POLL_MS)
  }
}

function result(
  status: RestartReport['status'],
  record: PidRecord | null,
  message: string | null,
): RestartReport {
  const { pid = null, url = null, version = null, startedAt = null } = record ?? {}
  return { status, pid, url, version, startedAt, tookMs: null, message }
}

function describe({ status, pid, url, version, tookMs, message }: RestartReport): string {
  switch (status) {
    case 'restarted':
      return `The gateway has restarted (process ${pid}, version ${version}): ready at ${url} after ${(tookMs! / 1000).toFixed(1)} s.`
    case 'refused':
      return `The gateway was not restarted and goes on as it was (process ${pid}).\n${message}`
    case 'failed':
      return `The gateway has not come back; process ${pid} has ended.\n${message}\n  ${nextCommand('gateway start')}   starts it`
    case 'late':
      return `The gateway (process ${pid}) is not back yet. ${message}\n  ${nextCommand('gateway status')}   says how it is`
    case 'stopped':
      return `The gateway is not running.\n  ${nextCommand('gateway start')}   starts it`
  }
}
