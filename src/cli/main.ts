#!/usr/bin/env node
import { CommanderError } from 'commander'
import { EXIT } from './exit-codes.js'
import { createProgram } from './program.js'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has gone, as in `lurkbot gateway events | head -1`.
  if (error.code === 'EPIPE') process.exit(EXIT.OK)
  throw error
})

try {
  await createProgram().parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
  } else {
    const { report } = await import('./report.js')
    process.exitCode = report(error)
  }
}
