#!/usr/bin/env node
import { userInfo } from 'node:os'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { VERSION } from '../version.js'
import type { ConfigOptions } from './config.js'
import { addCronCommands } from './cron-commands.js'
import { EXIT } from './exit-codes.js'
import type { CallOptions } from './gateway-call.js'
import type { ChatOptions } from './gateway-chat.js'
import type { RestartOptions } from './gateway-restart.js'
import type { StartOptions } from './gateway-start.js'
import type { StatusOptions } from './gateway-status.js'
import type { StopOptions } from './gateway-stop.js'
import type { ExportOptions } from './sessions-export.js'
import type { TargetOptions } from './target.js'
import type { NewTokenOptions, RotateTokenOptions, TokenOptions } from './token.js'

// Each command's own modules are loaded when it runs, so that `lurkbot --help` does not wait for a web server to load.

const program = new Command('lurkbot')
  .description('The control plane between people and AI agents.')
  .version(VERSION)
  .exitOverride()

const gateway = program.command('gateway').description('Run the gateway, and talk to one.')

gateway
  .command('start')
  .description('run the gateway in the foreground')
  .option('--host <address>', 'address to listen on')
  .option('--port <number>', 'port to listen on; 0: any free one')
  .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent')
  .option('--config <file>', 'configuration file, instead of the one in the state folder')
  .action(async (options: StartOptions) => (await import('./gateway-start.js')).start(options))

gateway
  .command('stop')
  .description('stop the running gateway and wait until it has ended')
  .option('--timeout <seconds>', 'how long to wait', seconds, 60)
  .action(finish(async (options: StopOptions) => (await import('./gateway-stop.js')).stop(options)))

gateway
  .command('restart')
  .description('restart the running gateway with its configuration read anew, and wait until it is ready')
  .option('--timeout <seconds>', 'how long to wait', seconds, 60)
  .option('--json', 'as JSON')
  .action(finish(async (options: RestartOptions) => (await import('./gateway-restart.js')).restart(options)))

talking('status')
  .description('say whether the gateway runs, and how it is')
  .option('--json', 'as JSON')
  .action(finish(async (options: StatusOptions) => (await import('./gateway-status.js')).status(options)))

talking('call')
  .description('call a method and print its result as JSON')
  .argument('<method>', 'such as sessions.list; methods.list names them all')
  .argument('[params]', 'the parameters, a JSON object')
  .option('--session <key>', 'session key')
  .option('--timeout <seconds>', 'how long to wait for the answer', seconds, 60)
  .action(
    finish(async (method: string, params: string | undefined, options: CallOptions) =>
      (await import('./gateway-call.js')).call(method, params, options),
    ),
  )

talking('chat')
  .description('hold a conversation; in a pipe, send each line and print the answers')
  .argument('[session]', 'session key', `cli:${userName()}:main`)
  .option('--reasoning', 'show what the agent thinks')
  .action(
    finish(async (session: string, options: ChatOptions) =>
      (await import('./gateway-chat.js')).chat(session, options),
    ),
  )

talking('events')
  .description('print events as JSON lines')
  .argument('[patterns...]', 'event names or patterns such as agent.*')
  .action(
    finish(async (patterns: string[], options: TargetOptions) =>
      (await import('./gateway-events.js')).events(patterns, options),
    ),
  )

addCronCommands(program.command('cron').description('Scheduled jobs.'), talking, finish)

const config = program
  .command('config')
  .description('Look at the configuration, whether a gateway runs or not.')

config
  .command('check')
  .description('say everything that is wrong with it, as a start would; exits with 78 then')
  .option('--config <file>', 'configuration file, instead of the one in the state folder')
  .option('--json', 'as JSON')
  .action(finish(async (options: ConfigOptions) => (await import('./config.js')).check(options)))

config
  .command('show')
  .description('show what a start would use, without secrets, and where each value comes from')
  .option('--config <file>', 'configuration file, instead of the one in the state folder')
  .option('--json', 'as JSON')
  .action(finish(async (options: ConfigOptions) => (await import('./config.js')).show(options)))

config
  .command('schema')
  .description('print the JSON Schema of the configuration file')
  .action(finish(async () => (await import('./config.js')).schema()))

const token = program.command('token').description('Make and end tokens, through the running gateway.')

talking('new', token)
  .description('make a token and print its secret, this once')
  .argument('<name>', 'letters, digits, `.`, `_` and `-`')
  .option('--role <role>', 'admin, operator (the default), viewer or agent')
  .option('--scope <scopes...>', 'exactly these scopes: read, write, admin, agent')
  .option('--session <patterns...>', 'session-key patterns to be confined to, such as telegram:*')
  .option('--expires <duration>', 'such as 12h or 30d; else it does not expire', duration)
  .option('--json', 'as JSON')
  .action(
    finish(async (name: string, options: NewTokenOptions) =>
      (await import('./token.js')).newToken(name, options),
    ),
  )

talking('list', token)
  .description('list the tokens, without their secrets')
  .option('--json', 'as JSON')
  .action(finish(async (options: TokenOptions) => (await import('./token.js')).listTokens(options)))

talking('revoke', token)
  .description('end a token and every connection that came with it')
  .argument('<token>', 'its name or its id')
  .option('--json', 'as JSON')
  .action(
    finish(async (name: string, options: TokenOptions) =>
      (await import('./token.js')).revokeToken(name, options),
    ),
  )

talking('rotate', token)
  .description('give a token a new secret and print it, this once')
  .argument('<token>', 'its name or its id')
  .option('--overlap <duration>', 'how long the secret before stays good, such as 1h; default: 24h', duration)
  .option('--json', 'as JSON')
  .action(
    finish(async (name: string, options: RotateTokenOptions) =>
      (await import('./token.js')).rotateToken(name, options),
    ),
  )

talking('export', program.command('sessions').description('Work with sessions.'))
  .description('print a session and its messages as JSON lines')
  .argument('<key>', 'session key')
  .option('--timeout <seconds>', 'how long to wait for each answer', seconds, 60)
  .action(
    finish(async (key: string, options: ExportOptions) =>
      (await import('./sessions-export.js')).exportSession(key, options),
    ),
  )

/** A command that talks to a gateway: all of them find it in the same way. */
function talking(name: string, parent: Command = gateway): Command {
  return parent
    .command(name)
    .option('--url <address>', 'the gateway, instead of that of the state folder')
    .option(
      '--token-file <file>',
      'file that holds the token; else LURKBOT_TOKEN and the configuration are read',
    )
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
}

/** Hands a command's exit code to the process, which ends when its output is written. */
function finish<Args extends unknown[]>(
  command: (...args: Args) => Promise<number>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    process.exitCode = await command(...args)
  }
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value <= 86_400)) {
    throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400')
  }
  return value
}

function duration(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (digits === undefined) throw new InvalidArgumentError('expected a duration such as 90s, 15m, 12h or 30d')
  return Number(digits) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 's' | 'm' | 'h' | 'd']
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

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has gone, as in `lurkbot gateway events | head -1`.
  if (error.code === 'EPIPE') process.exit(EXIT.OK)
  throw error
})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
  } else {
    const { report } = await import('./report.js')
    process.exitCode = report(error)
  }
}
