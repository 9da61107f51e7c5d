import { connect, createCliClient } from './connect.js'
import { connectError } from './connect-error.js'
import { findTarget, type TargetOptions } from './target.js'

/** `lurkbot gateway events [PATTERN…]`: event frames as JSON lines until it is killed, through restarts of the gateway. */
export async function events(patterns: string[], options: TargetOptions): Promise<never> {
  const target = await findTarget(options)
  const client = createCliClient(target, { subscribe: patterns.length === 0 ? ['*'] : patterns })
  client.on('*', (frame) => process.stdout.write(`${JSON.stringify(frame)}\n`))
  await connect(client, target)
  client.onStateChange((state) => {
    if (state.status === 'waiting' && state.attempt === 1) process.stderr.write(`${state.error.message}\n`)
    if (state.status === 'open') {
      process.stderr.write(`Connected again${state.resumed ? '' : '; events may be missing'}.\n`)
    }
  })
  const error = await client.closed
  throw connectError(error!, target)
}
