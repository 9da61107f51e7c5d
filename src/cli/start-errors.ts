import { readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import { nextCommand, nextCommands } from './next-command.js'
import { findRunning, type PidRecord } from './pid-file.js'
import { findPortOwner } from './port-owner.js'

export function alreadyRunning(running: PidRecord, home: string): CliError {
  return new CliError(
    EXIT.UNAVAILABLE,
    `A gateway is running already at ${running.url} (process ${running.pid}).`,
    [
      ...nextCommands([
        ['gateway stop', 'stops it'],
        ['gateway restart', 'restarts it, with its configuration read anew'],
        ['gateway status', 'says how it is'],
      ]),
      `One state folder (${home}) serves one gateway; --profile NAME or LURKBOT_HOME has another.`,
    ],
  )
}

/** Why the port could not be opened, and what to do; any other error as it is. */
export async function listenError(
  error: NodeJS.ErrnoException,
  { host, port, home }: { host: string; port: number; home: string },
): Promise<Error> {
  switch (error.code) {
    case 'EADDRINUSE':
      return portInUse({ host, port, home })
    case 'EACCES':
      return new CliError(EXIT.NO_PERMISSION, `This user may not listen on port ${port} at ${host}.`, [
        `Ports below 1024 are often reserved: ${nextCommand('gateway start --port NUMBER')} takes another one.`,
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

async function portInUse({ host, port, home }: { host: string; port: number; home: string }): Promise<Error> {
  const owner = await findPortOwner(port)
  const other = owner === null ? null : findGatewayOf(owner.pid)
  const process =
    owner === null ? 'a process that is not ours to see' : `process ${owner.pid} (${owner.command})`
  const who = other === null ? process : `${process}, the gateway of ${other.home}`
  const stop =
    other === null
      ? `${nextCommand('gateway stop')}   stops it if it is a gateway of this state folder`
      : `${nextCommand('gateway stop', { LURKBOT_PROFILE: other.profile ?? '' })}   stops it`
  return new CliError(EXIT.UNAVAILABLE, `Port ${port} at ${host} is in use by ${who}.`, [
    stop,
    `${nextCommand('gateway start --port NUMBER')}   takes another port; 0 any free one`,
    `port: NUMBER in ${join(home, 'config.yaml')}   gives this gateway one of its own`,
  ])
}

/** The state folder beside others of this user whose gateway has this pid. */
function findGatewayOf(pid: number): { home: string; profile: string | null } | null {
  for (const name of namesIn(homedir())) {
    const found = /^\.lurkbot(?:-(.+))?$/.exec(name)
    if (found === null) continue
    const home = join(homedir(), name)
    if (findRunning(home)?.pid === pid) return { home, profile: found[1] ?? null }
  }
  return null
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // As for the user of a container.
    return []
  }
}
