import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolveHome } from '../config/paths.js'
import { levelNumber } from '../logs/log-line.js'
import { LogReader } from '../logs/log-reader.js'
import { levelOf } from '../logs/log-tap.js'
import { logPaths } from '../logs/paths.js'
import type { LogLevel, LogLine } from '../protocol/log-line.js'
import { logsTail } from '../protocol/methods/logs.js'
import { CliError } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { connectError } from './connect-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { printable } from './format.js'
import { nextCommands } from './next-command.js'
import { hasColors } from './paint.js'
import { findRunning } from './pid-file.js'
import { findTarget, type Target, type TargetOptions } from './target.js'

/** What `logs.tail` gives at most. */
const MAX_TAIL_LINES = 1_000

export interface LogsOptions extends TargetOptions {
  readonly follow?: boolean
  readonly lines: number
  readonly level?: LogLevel
  readonly json?: boolean
}

type Print = (line: string) => Promise<void>

/** `lurkbot gateway logs`: the log file of the state folder; of a gateway that has none, what it keeps in memory. */
export async function logs(options: LogsOptions): Promise<ExitCode> {
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort())
  const print = await createPrinter(options)
  const path = findFile(options)
  if (path !== null) await fromFile(path, options, print, ending.signal)
  else await fromGateway(await findTarget(options), options, print, ending.signal)
  return EXIT.OK
}

/** Null: the gateway is to be asked. */
function findFile({ url, follow }: LogsOptions): string | null {
  if (url !== undefined) return null
  const home = resolveHome(process.env, process.cwd())
  const running = findRunning(home)
  const path = running === null ? logPaths(home).file : (running.logFile ?? null)
  if (path === null || existsSync(path)) return path
  if (running !== null) return null
  if (!follow) {
    const advice = nextCommands([
      ['gateway start --daemon', 'starts a gateway in the background, with a log file'],
      ['gateway logs -f', 'waits for it'],
    ])
    throw new CliError(EXIT.NOT_RUNNING, `No gateway is running, and there is no log file ${path}.`, advice)
  }
  process.stderr.write(`There is no log file ${path} yet; waiting for it.\n`)
  return path
}

async function fromFile(
  path: string,
  options: LogsOptions,
  print: Print,
  signal: AbortSignal,
): Promise<void> {
  const least = options.level === undefined ? 0 : levelNumber(options.level)
  // What is not of the logger's has no level, and may be the very reason.
  const accept = (line: string) => least === 0 || (levelOf(line) || Number.POSITIVE_INFINITY) >= least
  const reader = new LogReader(path)
  try {
    for (const line of await reader.last(options.lines, accept)) await print(line)
    if (!options.follow) return
    for await (const line of reader.follow(signal)) if (accept(line)) await print(line)
  } finally {
    await reader.close()
  }
}

async function fromGateway(
  target: Target,
  { follow, lines, level = 'trace' }: LogsOptions,
  print: Print,
  signal: AbortSignal,
): Promise<void> {
  const client = createCliClient(target, { subscribe: [], reconnect: follow ? {} : false })
  const tail = (limit: number) => client.request(logsTail, { level, limit: Math.min(limit, MAX_TAIL_LINES) })
  try {
    await connect(client, target)
    let printed = Promise.resolve()
    let newest = 0
    const show = (line: LogLine) => {
      newest = Math.max(newest, line.at)
      printed = printed.then(() => print(asPinoLine(line)))
    }
    // Before the first answer nothing is followed, so that these come first.
    for (const line of (await tail(lines)).lines) show(line)
    if (follow) {
      client.on('log', ({ payload }) => show(payload))
      client.onStateChange(async (state) => {
        if (state.status === 'waiting' && state.attempt === 1)
          process.stderr.write(`${state.error.message}\n`)
        if (state.status !== 'open') return
        const since = newest
        const missed = await tail(MAX_TAIL_LINES).catch(() => ({ lines: [] }))
        for (const line of missed.lines) if (line.at > since) show(line)
      })
      const interrupted = signal.aborted ? Promise.resolve() : once(signal, 'abort')
      const error = await Promise.race([client.closed, interrupted.then(() => null)])
      if (error !== null) throw connectError(error, target)
    }
    await printed
  } finally {
    client.close()
  }
}

/** As the file has it. */
function asPinoLine({ at, level, message, fields }: LogLine): string {
  return JSON.stringify({ level: levelNumber(level), time: at, ...fields, msg: message })
}

async function createPrinter({ json }: LogsOptions): Promise<Print> {
  const pretty = json || !process.stdout.isTTY ? null : await createPretty()
  return async (line) => {
    if (!process.stdout.write(pretty === null ? `${line}\n` : pretty(line)))
      await once(process.stdout, 'drain')
  }
}

async function createPretty(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  const pretty = prettyFactory({
    colorize: hasColors(process.stdout),
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    ignore: 'pid,hostname',
  })
  return (line) => {
    try {
      return pretty(JSON.parse(line, (_, value) => (typeof value === 'string' ? printable(value) : value)))
    } catch {
      return `${printable(line)}\n`
    }
  }
}
