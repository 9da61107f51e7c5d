import { execFile } from 'node:child_process'
import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import { nextCommands } from '../next-command.js'
import type { CommandResult, Run } from './service-manager.js'

export const run: Run = (program, args) =>
  new Promise((resolve) => {
    execFile(program, args, { windowsHide: true }, (error, stdout, stderr) => {
      if (error === null) return resolve({ code: 0, stdout, stderr })
      const { code } = error as { code?: unknown }
      if (code === 'ENOENT') return resolve({ code: 127, stdout, stderr: `${program} is not installed` })
      resolve({ code: typeof code === 'number' ? code : 1, stdout, stderr: stderr || error.message })
    })
  })

/** What to do where there is no service manager. */
export const withoutManager = () =>
  nextCommands([['gateway start --daemon', 'runs the gateway in the background without a service manager']])

/** Runs a program that has to succeed. */
export async function mustRun(
  run: Run,
  program: string,
  args: readonly string[],
  advice: readonly string[] = [],
): Promise<CommandResult> {
  const result = await run(program, args)
  if (result.code === 0) return result
  const said = (result.stderr.trim() || result.stdout.trim() || `exit code ${result.code}`).split('\n')
  throw new CliError(EXIT.FAILED, `${[program, ...args].join(' ')} failed: ${said[0]}`, [
    ...said.slice(1),
    ...advice,
  ])
}
