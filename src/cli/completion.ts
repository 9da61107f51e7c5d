import { basename } from 'node:path'
import type { Command } from 'commander'
import { CliError } from './cli-error.js'
import { complete } from './completion/candidates.js'
import { SCRIPTS, SHELLS, type Shell } from './completion/scripts.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { oneLine } from './format.js'

/** `lurkbot completion [SHELL]`: the script for a shell, for that of the user unless one is named. */
export function printScript(named: string | undefined): ExitCode {
  const shell = named ?? basename(process.env.SHELL ?? '')
  if (!isShell(shell)) {
    const found = shell === '' ? 'SHELL is not set' : `there is no completion for '${shell}'`
    throw new CliError(EXIT.USAGE, `For which shell? ${found}.`, [
      ...SHELLS.map((name) => `lurkbot completion ${name}`),
    ])
  }
  process.stdout.write(SCRIPTS[shell])
  return EXIT.OK
}

/** `lurkbot complete -- WORD…`: what the scripts ask. */
export async function printCandidates(program: Command, words: readonly string[]): Promise<ExitCode> {
  const { candidates, files } = await complete(program, words)
  const lines = candidates.map(([value, meaning]) => `${value}\t${oneLine(meaning)}`)
  if (files) lines.push(':files')
  process.stdout.write(lines.map((line) => `${line}\n`).join(''))
  return EXIT.OK
}

function isShell(name: string): name is Shell {
  return SHELLS.some((shell) => shell === name)
}
