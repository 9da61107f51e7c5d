import { Command } from 'commander'
import { VERSION } from '../version.js'
import { addCompletionCommands } from './commands/completion.js'
import { addConfigCommands } from './commands/config.js'
import { addCronCommands } from './commands/cron.js'
import { addGatewayCommands } from './commands/gateway.js'
import { addSessionsCommands } from './commands/sessions.js'
import { addTokenCommands } from './commands/token.js'

/**
 * Every command of `lurkbot`. A command's own modules are loaded when it runs, so that `lurkbot --help` does not wait for a web
 * server to load. `json`: what is wrong with a command line is not printed, for the caller does that.
 */
export function createProgram(json = false): Command {
  const program = new Command('lurkbot')
    .description('The control plane between people and AI agents.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('  --help   lists what there is')
  if (json) program.configureOutput({ outputError: () => {}, writeErr: () => {} })
  addGatewayCommands(program)
  addCronCommands(program)
  addConfigCommands(program)
  addTokenCommands(program)
  addSessionsCommands(program)
  addCompletionCommands(program)
  return program
}
