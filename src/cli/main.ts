#!/usr/bin/env node
import { EXIT } from './exit-codes.js'
import { run } from './run.js'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has gone, as in `lurkbot gateway events | head -1`.
  if (error.code === 'EPIPE') process.exit(EXIT.OK)
  throw error
})

await run(process.argv.slice(2))
