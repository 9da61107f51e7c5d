#!/usr/bin/env node
import { CommanderError } from 'commander'
import { EXIT } from './exit-codes.js'
import { createProgram } from './program.js'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has gone, as in `lurkbot gateway events | head -1`.
  if (error.code === 'EPIPE') process.exit(EXIT.OK)
  throw error
})

// Looked for before the command line is understood, since what is wrong with that is told in the same way.
const json = process.argv.includes('--json')
const program = createProgram(json)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
    if (json && error.exitCode !== 0) {
      const message = error.message.replace(/^error: /, '')
      console.error(JSON.stringify({ error: { code: 'USAGE', message, advice: [] } }))
    }
  } else {
    const { report } = await import('./report.js')
    process.exitCode = report(error, json)
  }
}
