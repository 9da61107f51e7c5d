import type { Command } from 'commander'
import type { ExportOptions } from '../sessions-export.js'
import { finish, seconds, talking } from './command.js'

/** `lurkbot sessions …` */
export function addSessionsCommands(program: Command): void {
  const sessions = program.command('sessions').description('Work with sessions.')

  talking(sessions, 'export')
    .description('print a session and its messages as JSON lines')
    .argument('<key>', 'session key')
    .option('--timeout <seconds>', 'how long to wait for each answer', seconds, 60)
    .option('--json', 'errors as JSON, too')
    .action(
      finish(async (key: string, options: ExportOptions) =>
        (await import('../sessions-export.js')).exportSession(key, options),
      ),
    )
}
