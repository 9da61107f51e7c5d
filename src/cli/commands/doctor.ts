import type { Command } from 'commander'
import type { DoctorOptions } from '../doctor.js'
import { finish } from './command.js'

/** `lurkbot doctor` */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('look at everything that can be wrong, and say what to do; exits with 1 where something is')
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
    .option('--url <address>', 'the address that people use: look through the proxy, too')
    .option('--token-file <file>', 'file that holds the token for it; else LURKBOT_TOKEN is read')
    .option('--online', 'also ask agents that are not on this machine')
    .option('--fix', 'mend what can be mended without loss')
    .option('--strict', 'exit with 1 for warnings, too')
    .option('--json', 'as JSON')
    .action(finish(async (options: DoctorOptions) => (await import('../doctor.js')).doctor(options)))
}
