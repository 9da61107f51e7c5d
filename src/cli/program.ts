import { Command, InvalidArgumentError } from 'commander'
import { isProfile, PROFILE_EXPECTED } from '../config/paths.js'
import { VERSION } from '../version.js'
import { CliError } from './cli-error.js'
import { addCompletionCommands } from './commands/completion.js'
import { addConfigCommands } from './commands/config.js'
import { addCronCommands } from './commands/cron.js'
import { addDaemonCommands } from './commands/daemon.js'
import { addDoctorCommand } from './commands/doctor.js'
import { addGatewayCommands } from './commands/gateway.js'
import { addJournalCommands } from './commands/journal.js'
import { addSessionsCommands } from './commands/sessions.js'
import { addTokenCommands } from './commands/token.js'
import { EXIT } from './exit-codes.js'

/**
 * Every command of `lurkbot`. A command's own modules are loaded when it runs, so that `lurkbot --help` does not wait for a web
 * server to load. `json`: what is wrong with a command line is not printed, for the caller does that.
 */
export function createProgram(json = false): Command {
  const program = new Command('lurkbot')
    .description('The control plane between people and AI agents.')
    .version(VERSION)
    .option('--profile <name>', 'one of several gateways: its state folder is ~/.lurkbot-NAME', profile)
    .exitOverride()
    .showHelpAfterError('  --help   lists what there is')
    .hook('preAction', (command) => useProfile(command.opts<{ profile?: string }>().profile))
  if (json) program.configureOutput({ outputError: () => {}, writeErr: () => {} })
  addGatewayCommands(program)
  addDaemonCommands(program)
  addCronCommands(program)
  addConfigCommands(program)
  addTokenCommands(program)
  addSessionsCommands(program)
  addJournalCommands(program)
  addDoctorCommand(program)
  addCompletionCommands(program)
  return program
}

function profile(name: string): string {
  if (!isProfile(name)) throw new InvalidArgumentError(`expected ${PROFILE_EXPECTED}`)
  return name
}

/** For this command, and for the programs that it starts. */
function useProfile(name: string | undefined): void {
  if (name === undefined) return
  const { LURKBOT_HOME: home } = process.env
  if (home) {
    throw new CliError(EXIT.USAGE, `--profile ${name} and LURKBOT_HOME=${home} each name a state folder.`, [
      'Leave one of the two out: unset LURKBOT_HOME',
    ])
  }
  process.env.LURKBOT_PROFILE = name
}
