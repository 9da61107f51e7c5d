import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import { nextCommand, nextCommands } from '../next-command.js'
import { findRunning } from '../pid-file.js'
import type { Found } from './create-service.js'
import type { ServiceOwner, ServicePlace, ServiceStatus } from './service-manager.js'

/** What of the gateway its definition names. */
export function ownerOf({ profile, home }: Pick<ServicePlace, 'profile' | 'home'>): ServiceOwner {
  return profile === null
    ? { variable: 'LURKBOT_HOME', value: home }
    : { variable: 'LURKBOT_PROFILE', value: profile }
}

/** Rejects where the name of the service stands for the gateway of another state folder: that one is not ours to touch. */
export async function refuseOther({ place, service }: Found, command: string): Promise<void> {
  const owner = await service.owner()
  if (owner === null) return
  const { variable, value } = owner
  if (value === (variable === 'LURKBOT_HOME' ? place.home : place.profile)) return
  const words = `daemon ${command}`
  const there =
    variable === 'LURKBOT_PROFILE'
      ? nextCommand(words, { LURKBOT_PROFILE: value })
      : `LURKBOT_HOME=${quoted(value)} ${nextCommand(words, {})}`
  throw new CliError(
    EXIT.UNAVAILABLE,
    `The ${service.kind} ${service.name} is that of another gateway: ${variable}=${value}, not ${place.home}.`,
    [
      `${there}   is for that one`,
      `${nextCommand('--profile NAME daemon install', {})}   makes another service, of the state folder ~/.lurkbot-NAME`,
    ],
  )
}

/** Throws where a gateway of the state folder runs that is not the service's; `then`: the command to try again. */
export function refuseStranger(
  { place, service }: Found,
  { pid }: ServiceStatus,
  then: readonly [words: string, does: string],
): void {
  const running = findRunning(place.home)
  if (running === null || pid !== null) return
  throw new CliError(
    EXIT.UNAVAILABLE,
    `A gateway runs already at ${running.url} (process ${running.pid}), not as ${service.name}.`,
    nextCommands([['gateway stop', 'stops it'], then]),
  )
}

/** As a shell reads it. */
const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
