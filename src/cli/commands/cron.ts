import type { Command } from 'commander'
import type { AddOptions, CronOptions, ListOptions } from '../cron.js'
import { finish, talking } from './command.js'

/** `lurkbot cron …` */
export function addCronCommands(program: Command): void {
  const cron = program.command('cron').description('Scheduled jobs.')
  const command = (name: string) => talking(cron, name).option('--json', 'as JSON')

  command('list')
    .description('the jobs and their next times')
    .option('--session <key>', 'only those of this session')
    .action(finish(async (options: ListOptions) => (await import('../cron.js')).list(options)))

  command('add')
    .description('add a job')
    .argument('[name]', 'no two jobs have the same')
    .option('--at <time>', 'once: such as 2027-01-31T18:00:00+01:00, or +10m from now')
    .option('--every <duration>', 'again and again: such as 90s, 15m, 2h or 1d')
    .option('--cron <expression>', "by the clock: such as '0 9 * * MON-FRI'")
    .option('--time-zone <name>', 'with --cron: such as Europe/Berlin')
    .option('--message <text>', 'what the agent is asked')
    .option('--event <text>', 'or: what the agent is to know')
    .option('--agent <name>', 'who is asked')
    .option('--deliver [channel:peer]', 'say the answer there, or in the conversation of the session')
    .option('--thread <thread>', 'with --deliver: in this thread')
    .option('--session <key>', 'the session; else that of the conversation, or one of its own')
    .option('--misfire <policy>', 'times that were missed: skip, once or all')
    .option('--overlap <policy>', 'times that come too early: skip, queue or replace')
    .option('--delete-after-run', 'remove it when it is done')
    .option('--disabled', 'only run it by hand')
    .action(
      finish(async (name: string | undefined, options: AddOptions) =>
        (await import('../cron.js')).add(name, options),
      ),
    )

  for (const [name, description] of [
    ['remove', 'remove a job'],
    ['run', 'run a job now'],
    ['runs', 'the latest runs of a job'],
  ] as const) {
    command(name)
      .description(description)
      .argument('<job>', 'its id or its name')
      .action(
        finish(async (job: string, options: CronOptions) => (await import('../cron.js'))[name](job, options)),
      )
  }
}
