import type { Command } from 'commander'
import type { ConfigOptions } from '../config.js'
import { finish } from './command.js'

/** `lurkbot config …` */
export function addConfigCommands(program: Command): void {
  const config = program
    .command('config')
    .description('Look at the configuration, whether a gateway runs or not.')

  config
    .command('check')
    .description('say everything that is wrong with it, as a start would; exits with 78 then')
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
    .option('--json', 'as JSON')
    .action(finish(async (options: ConfigOptions) => (await import('../config.js')).check(options)))

  config
    .command('show')
    .description('show what a start would use, without secrets, and where each value comes from')
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
    .option('--json', 'as JSON')
    .action(finish(async (options: ConfigOptions) => (await import('../config.js')).show(options)))

  config
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .option('--json', 'errors as JSON, too')
    .action(finish(async () => (await import('../config.js')).schema()))
}
