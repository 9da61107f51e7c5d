import { setTimeout as delay } from 'node:timers/promises'
import { resolveHome } from '../config/paths.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { nextCommand } from './next-command.js'
import { isRunning, type PidRecord, readPidFile, removePidFile } from './pid-file.js'
import { signalGateway } from './signal-gateway.js'

/** How often to look whether the process has gone: the system tells only its parent. */
const POLL_MS = 50

export interface StopOptions {
  /** Seconds. */
  readonly timeout: number
  readonly json?: boolean
}

/** `lurkbot gateway stop`: asks the gateway of the state folder to stop, and waits until it has. */
export async function stop(options: StopOptions): Promise<ExitCode> {
  const home = resolveHome(process.env, process.cwd())
  const record = readPidFile(home)
  if (record === null || !isRunning(record)) {
    if (record !== null) removePidFile(home, record)
    console.log(options.json ? toJson('not-running', null) : 'The gateway is not running.')
    return EXIT.OK
  }
  signalGateway(record, 'SIGTERM', 'stopped')
  const deadline = performance.now() + options.timeout * 1000
  while (isRunning(record)) {
    if (performance.now() > deadline) throw stillRunning(record, options.timeout)
    await delay(POLL_MS)
  }
  // It removes the file itself, unless it was ended by force.
  removePidFile(home, record)
  const { pid } = record
  console.log(options.json ? toJson('stopped', pid) : `The gateway has stopped (process ${pid}).`)
  return EXIT.OK
}

function toJson(status: 'stopped' | 'not-running', pid: number | null): string {
  return JSON.stringify({ status, pid }, null, 2)
}

function stillRunning({ pid }: PidRecord, timeout: number): CliError {
  return new CliError(EXIT.FAILED, `The gateway (process ${pid}) is still stopping after ${timeout} s.`, [
    'It lets running agents finish, for as long as shutdown.drainTimeoutMs says.',
    `${nextCommand('gateway stop')}   again makes it exit at once; what it accepted is kept and handled after the next start.`,
  ])
}
