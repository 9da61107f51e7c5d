import { userInfo } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { LOG_LEVELS } from '../../protocol/log-line.js'
import type { ForegroundOptions } from '../foreground.js'
import type { CallOptions } from '../gateway-call.js'
import type { ChatOptions } from '../gateway-chat.js'
import type { LogsOptions } from '../gateway-logs.js'
import type { RestartOptions } from '../gateway-restart.js'
import type { StatusOptions } from '../gateway-status.js'
import type { StopOptions } from '../gateway-stop.js'
import { startLean } from '../lean-start.js'
import type { TargetOptions } from '../target.js'
import { finish, seconds, talking } from './command.js'

/** `lurkbot gateway …` */
export function addGatewayCommands(program: Command): void {
  const gateway = program.command('gateway').description('Run the gateway, and talk to one.')

  gateway
    .command('start')
    .description('run the gateway, in the foreground unless told otherwise')
    .option('--host <address>', 'address to listen on')
    .option('--port <number>', 'port to listen on; 0: any free one')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent')
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
    .option('--daemon', 'run it in the background, and return when it is ready')
    .option('--timeout <seconds>', 'with --daemon: how long to wait for that; default: 60', seconds)
    .option('--json', 'with --daemon: as JSON')
    .addOption(new Option('--detached', 'this is the process in the background').hideHelp())
    .action(startCommand)

  gateway
    .command('stop')
    .description('stop the running gateway and wait until it has ended')
    .option('--timeout <seconds>', 'how long to wait', seconds, 60)
    .option('--json', 'as JSON')
    .action(finish(async (options: StopOptions) => (await import('../gateway-stop.js')).stop(options)))

  gateway
    .command('restart')
    .description('restart the running gateway with its configuration read anew, and wait until it is ready')
    .option('--timeout <seconds>', 'how long to wait', seconds, 60)
    .option('--json', 'as JSON')
    .action(
      finish(async (options: RestartOptions) => (await import('../gateway-restart.js')).restart(options)),
    )

  talking(gateway, 'status')
    .description('say whether the gateway runs, and how it is')
    .option('--json', 'as JSON')
    .action(finish(async (options: StatusOptions) => (await import('../gateway-status.js')).status(options)))

  talking(gateway, 'logs')
    .description('print the last lines of the log')
    .option('-f, --follow', 'and each further line, through restarts, until Ctrl-C')
    .option('-n, --lines <count>', 'how many lines', lineCount, 100)
    .addOption(new Option('--level <level>', 'the least severe level').choices([...LOG_LEVELS]))
    .option('--json', 'as JSON lines, on a terminal too')
    .action(finish(async (options: LogsOptions) => (await import('../gateway-logs.js')).logs(options)))

  talking(gateway, 'call')
    .description('call a method and print its result as JSON')
    .argument('<method>', 'such as sessions.list; methods.list names them all')
    .argument('[params]', 'the parameters, a JSON object')
    .option('--session <key>', 'session key')
    .option('--timeout <seconds>', 'how long to wait for the answer', seconds, 60)
    .option('--json', 'errors as JSON, too')
    .action(
      finish(async (method: string, params: string | undefined, options: CallOptions) =>
        (await import('../gateway-call.js')).call(method, params, options),
      ),
    )

  talking(gateway, 'chat')
    .description('hold a conversation; in a pipe, send each line and print the answers')
    .argument('[session]', 'session key', `cli:${userName()}:main`)
    .option('--reasoning', 'show what the agent thinks')
    .option('--json', 'as in a pipe, with a line of JSON for each answer')
    .action(
      finish(async (session: string, options: ChatOptions) =>
        (await import('../gateway-chat.js')).chat(session, options),
      ),
    )

  talking(gateway, 'events')
    .description('print events as JSON lines')
    .argument('[patterns...]', 'event names or patterns such as agent.*')
    .option('--json', 'errors as JSON, too')
    .action(
      finish(async (patterns: string[], options: TargetOptions) =>
        (await import('../gateway-events.js')).events(patterns, options),
      ),
    )
}

type StartCommandOptions = ForegroundOptions & {
  readonly daemon?: boolean
  readonly timeout?: number
  readonly json?: boolean
}

async function startCommand({ daemon, timeout, json, ...options }: StartCommandOptions, command: Command) {
  if (daemon) {
    const { startDaemon } = await import('../gateway-daemon.js')
    process.exitCode = await startDaemon({ ...options, timeout: timeout ?? 60, json })
    return
  }
  if (timeout !== undefined || json) command.error('error: --timeout and --json go with --daemon')
  startLean(true)
  await (await import('../gateway-start.js')).start(options)
}

function lineCount(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('expected a number of lines')
  return Number(text)
}

/** Session keys have no blanks. */
function userName(): string {
  try {
    return userInfo().username.replace(/\s+/g, '-') || 'user'
  } catch {
    // A user id without an entry in the system, as in containers.
    return 'user'
  }
}
