import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { resolveHome } from '../config/paths.js'
import { within } from '../lifecycle/within.js'
import { logPaths } from '../logs/paths.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import type { ForegroundOptions } from './foreground.js'
import { nextCommands } from './next-command.js'
import type { StarterMessage } from './starter.js'

/** How long one that is not ready in time, or no longer wanted, may take to end before it is killed. */
const END_MS = 5_000
/** Of what it wrote before it ended. */
const MAX_LAST_WORDS = 16_384
const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url))

export interface DaemonOptions extends Omit<ForegroundOptions, 'detached'> {
  /** Seconds. */
  readonly timeout: number
  readonly json?: boolean
}

export interface DaemonReport {
  readonly status: 'started' | 'failed'
  readonly pid: number | null
  readonly url: string | null
  readonly wsUrl: string | null
  readonly version: string | null
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number | null
  readonly home: string
  readonly profile: string | null
  readonly configFile: string | null
  readonly logFile: string | null
  readonly errorLogFile: string
  /** Why it failed. */
  readonly message: string | null
}

type Ready = Extract<StarterMessage, { type: 'ready' }>
type Failure = { readonly exitCode: ExitCode; readonly message: string }

/**
 * `lurkbot gateway start --daemon`: starts the gateway as a process in a session of its own, and returns when it is ready. One
 * that does not get so far has ended by then, and the exit code and the message are those of a start in the foreground.
 */
export async function startDaemon({ json, timeout, ...options }: DaemonOptions): Promise<ExitCode> {
  const home = resolveHome(process.env, process.cwd())
  const { errorFile } = logPaths(home)
  const errors = openErrorFile(home)
  try {
    const child = spawnDetached(options, errors.descriptor)
    const outcome = await waitForOutcome(child, timeout, errors.sinceStart)
    if ('message' in outcome) {
      if (json)
        print({ ...NOTHING, status: 'failed', home, errorLogFile: errorFile, message: outcome.message })
      else console.error(outcome.message)
      return outcome.exitCode
    }
    const { type, ...ready } = outcome
    const report = {
      status: 'started',
      pid: child.pid!,
      ...ready,
      errorLogFile: errorFile,
      message: null,
    } as const
    if (json) print(report)
    else console.log(describe(report))
    return EXIT.OK
  } finally {
    closeSync(errors.descriptor)
  }
}

const NOTHING = {
  pid: null,
  url: null,
  wsUrl: null,
  version: null,
  startedAt: null,
  profile: null,
  configFile: null,
  logFile: null,
}

interface ErrorFile {
  readonly descriptor: number
  /** What was written to it from here on, or the end of that. */
  sinceStart(): string
}

function openErrorFile(home: string): ErrorFile {
  const { folder, errorFile } = logPaths(home)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const descriptor = openSync(errorFile, 'a', 0o600)
    const { size } = fstatSync(descriptor)
    return {
      descriptor,
      sinceStart: () => readEnd(errorFile, size),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const advice = 'Fix its permissions, or free some space, and start again.'
    throw new CliError(
      EXIT.FAILED,
      `The folder of the logs ${folder} cannot be written: ${reason}.`,
      [advice],
      error,
    )
  }
}

function readEnd(path: string, from: number): string {
  try {
    const bytes = readFileSync(path)
    // It is emptied when it has grown too long.
    const written = bytes.subarray(bytes.length < from ? 0 : from)
    return written.subarray(-MAX_LAST_WORDS).toString('utf8').trim()
  } catch {
    // Somebody has removed it.
    return ''
  }
}

function spawnDetached({ host, port, logLevel, config }: ForegroundOptions, errors: number): ChildProcess {
  const flags = Object.entries({
    '--host': host,
    '--port': port,
    '--log-level': logLevel,
    '--config': config,
  })
  const given = flags.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  return spawn(process.execPath, [...process.execArgv, PROGRAM, 'gateway', 'start', '--detached', ...given], {
    detached: true,
    stdio: ['ignore', errors, errors, 'ipc'],
    windowsHide: true,
  })
}

/** Until it is ready or has ended: on its own, since its time is up, or since whoever waits here was interrupted. */
async function waitForOutcome(
  child: ChildProcess,
  timeout: number,
  lastWords: () => string,
): Promise<Ready | Failure> {
  let told: string | null = null
  const ready = new Promise<Ready>((resolve) => {
    child.on('message', (message: StarterMessage) => {
      if (message.type === 'ready') resolve(message)
      else told = message.message
    })
  })
  const end = new Promise<Failure>((resolve, reject) => {
    child.once('error', reject)
    // Later than `exit`: what it told has been read.
    child.once('close', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`
      const words = told ?? lastWords()
      const silent = words === '' || signal !== null
      const message = silent ? join(`The gateway ended ${how} before it was ready.`, words) : words
      resolve({ exitCode: (code || EXIT.FAILED) as ExitCode, message })
    })
  })
  const interruption = listenForInterruption()
  const timer = new AbortController()
  const late = delay(timeout * 1000, 'late' as const, { signal: timer.signal })
  try {
    const first = await Promise.race([ready, end, interruption.happened, late])
    if (typeof first === 'object') return first
    await endInOrder(child, end)
    const why =
      first === 'late'
        ? `The gateway was not ready after ${timeout} s, and was ended.`
        : 'Interrupted: the gateway was not ready yet, and was ended.'
    return { exitCode: EXIT.FAILED, message: join(why, lastWords()) }
  } finally {
    timer.abort()
    interruption.stop()
    if (child.connected) child.disconnect()
    child.unref()
  }
}

const join = (...parts: readonly string[]) => parts.filter((part) => part !== '').join('\n')

function listenForInterruption(): { happened: Promise<'interrupted'>; stop: () => void } {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  let interrupt!: () => void
  const happened = new Promise<'interrupted'>((resolve) => {
    interrupt = () => resolve('interrupted')
  })
  for (const signal of signals) process.on(signal, interrupt)
  return {
    happened,
    stop: () => {
      for (const signal of signals) process.off(signal, interrupt)
    },
  }
}

async function endInOrder(child: ChildProcess, end: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM')
  if (await within(end, END_MS)) return
  try {
    // With the programs of its agents, where systems have groups of processes.
    process.kill(-child.pid!, 'SIGKILL')
  } catch {
    child.kill('SIGKILL')
  }
  await end
}

function print(report: DaemonReport): void {
  console.log(JSON.stringify(report, null, 2))
}

function describe({ pid, url, home, logFile }: DaemonReport): string {
  const commands = nextCommands([
    ['gateway status', 'says how it is'],
    ['gateway logs -f', 'follows its log'],
    ['gateway chat', 'talks to it'],
    ['gateway stop', 'stops it'],
  ])
  return [
    `The gateway runs in the background (process ${pid}) at ${url}`,
    `  state    ${home}`,
    `  log      ${logFile}`,
    '',
    ...commands.map((line) => `  ${line}`),
  ].join('\n')
}
