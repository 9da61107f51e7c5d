import type { Command } from 'commander'
import type { JournalCommandOptions } from '../journal.js'
import { finish } from './command.js'

/** `lurkbot journal …` */
export function addJournalCommands(program: Command): void {
  const journal = program
    .command('journal')
    .description('Back the journal up while the gateway runs, restore and check it.')
  const command = (name: string) =>
    journal
      .command(name)
      .option('--config <file>', 'configuration file, instead of the one in the state folder')
      .option('--json', 'as JSON')
  command('backup')
    .description('copy the journal into a new file, whether the gateway runs or not')
    .argument('<file>', 'must not be there yet')
    .action(
      finish(async (file: string, options: JournalCommandOptions) =>
        (await import('../journal.js')).backup(file, options),
      ),
    )
  command('restore')
    .description('put a backup in the place of the journal of a stopped gateway; the old one is kept aside')
    .argument('<file>', 'a backup')
    .action(
      finish(async (file: string, options: JournalCommandOptions) =>
        (await import('../journal.js')).restore(file, options),
      ),
    )
  command('check')
    .description(
      'read the journal through, or another file, and say what is wrong with it; exits with 1 then',
    )
    .argument('[file]', 'default: the journal')
    .action(
      finish(async (file: string | undefined, options: JournalCommandOptions) =>
        (await import('../journal.js')).check(file, options),
      ),
    )
}
