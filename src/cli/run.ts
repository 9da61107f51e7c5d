import { CommanderError } from 'commander'
import { EXIT } from './exit-codes.js'
import { createProgram } from './program.js'

/** Runs a command line, without the name of the program; its outcome is the exit code of the process. Never rejects. */
export async function run(args: readonly string[]): Promise<void> {
  // Looked for before the command line is understood, since what is wrong with that is told in the same way.
  const json = args.includes('--json')
  try {
    await createProgram(json).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
      if (json && error.exitCode !== 0) {
        const message = error.message.replace(/^error: /, '')
        console.error(JSON.stringify({ error: { code: 'USAGE', message, advice: [] } }))
      }
      return
    }
    const { report } = await import('./report.js')
    process.exitCode = report(error, json)
  }
}
