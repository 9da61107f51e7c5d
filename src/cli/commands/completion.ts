import { Argument, type Command } from 'commander'
import { SHELLS } from '../completion/scripts.js'
import { finish } from './command.js'

/** `lurkbot completion`, and what its scripts ask. */
export function addCompletionCommands(program: Command): void {
  program
    .command('completion')
    .description('print the script that completes command lines; source it where your shell starts')
    .addArgument(new Argument('[shell]', 'else the one that SHELL names').choices(SHELLS))
    .action(
      finish(async (shell: string | undefined) => (await import('../completion.js')).printScript(shell)),
    )

  program
    .command('complete', { hidden: true })
    .description('say what fits as the last word; the scripts of `completion` ask it')
    .argument('[words...]')
    .action(
      finish(async (words: string[]) => (await import('../completion.js')).printCandidates(program, words)),
    )
}
