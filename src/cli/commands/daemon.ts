import type { Command } from 'commander'
import type { ServiceOptions } from '../daemon/create-service.js'
import type { InstallOptions } from '../daemon/install.js'
import { finish } from './command.js'

/** `lurkbot daemon …` */
export function addDaemonCommands(program: Command): void {
  const daemon = program
    .command('daemon')
    .description('Run the gateway as a service: a systemd user unit, a launchd agent or a Windows task.')
  const command = (name: string) =>
    daemon
      .command(name)
      .option('--system', 'the service of the machine instead of that of the user; systemd only')
      .option('--json', 'as JSON')

  command('install')
    .description('make the service, start it, and let it start with the session; again: bring it up to date')
    .option('--dry-run', 'print the definition and change nothing')
    .action(
      finish(async (options: InstallOptions) => (await import('../daemon/install.js')).install(options)),
    )

  command('uninstall')
    .description('end the service and remove it; the state folder stays')
    .action(
      finish(async (options: ServiceOptions) => (await import('../daemon/uninstall.js')).uninstall(options)),
    )

  for (const [name, description] of [
    ['start', 'start the service and wait until it is ready'],
    ['stop', 'stop the service until it is started again, or the session begins anew'],
    ['restart', 'stop the service and start it again, with the program as it is now'],
  ] as const) {
    command(name)
      .description(description)
      .action(
        finish(async (options: ServiceOptions) => (await import('../daemon/control.js'))[name](options)),
      )
  }

  command('status')
    .description('say whether there is a service, whether it runs, and how the gateway is')
    .action(finish(async (options: ServiceOptions) => (await import('../daemon/status.js')).status(options)))
}
