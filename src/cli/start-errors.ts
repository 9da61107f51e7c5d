import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import type { PidRecord } from './pid-file.js'
import { findPortOwner } from './port-owner.js'

export function alreadyRunning(running: PidRecord, home: string): CliError {
  return new CliError(
    EXIT.UNAVAILABLE,
    `A gateway is running already at ${running.url} (process ${running.pid}).`,
    [
      'lurkbot gateway stop      stops it',
      'lurkbot gateway restart   restarts it, with its configuration read anew',
      'lurkbot gateway status    says how it is',
      `One state folder (${home}) serves one gateway; --profile NAME or LURKBOT_HOME has another.`,
    ],
  )
}

/** Why the port could not be opened, and what to do; any other error as it is. */
export async function listenError(
  error: NodeJS.ErrnoException,
  { host, port }: { host: string; port: number },
): Promise<Error> {
  switch (error.code) {
    case 'EADDRINUSE': {
      const owner = await findPortOwner(port)
      const who =
        owner === null ? 'a process that is not ours to see' : `process ${owner.pid} (${owner.command})`
      return new CliError(EXIT.UNAVAILABLE, `Port ${port} at ${host} is in use by ${who}.`, [
        'lurkbot gateway stop                  stops it if it is a gateway of this state folder',
        'lurkbot gateway start --port NUMBER   takes another port; 0 any free one',
      ])
    }
    case 'EACCES':
      return new CliError(EXIT.NO_PERMISSION, `This user may not listen on port ${port} at ${host}.`, [
        'Ports below 1024 are often reserved: lurkbot gateway start --port NUMBER takes another one.',
      ])
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CliError(EXIT.CONFIG, `host '${host}' is not an address of this machine (${error.code}).`, [
        '127.0.0.1 serves this machine only, 0.0.0.0 every network that it is in.',
      ])
    default:
      return error
  }
}
