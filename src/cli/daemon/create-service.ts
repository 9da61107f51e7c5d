import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import { findRunning } from '../pid-file.js'
import { LaunchdService } from './launchd.js'
import { run, withoutManager } from './run.js'
import type { ServiceManager, ServicePlace } from './service-manager.js'
import { findPlace } from './service-place.js'
import { SystemdService } from './systemd.js'
import type { Scope } from './systemd-unit.js'
import { WindowsTask } from './windows-task.js'

const POLL_MS = 50
/** Longer than any drain that somebody waits for. */
const END_TIMEOUT_MS = 300_000

export interface ServiceOptions {
  /** A service of the machine instead of the user; systemd only. */
  readonly system?: boolean
  readonly json?: boolean
}

export interface Found {
  readonly place: ServicePlace
  readonly service: ServiceManager
}

/** The service of this state folder and profile, by what this system has for services. */
export function findService({ system = false }: ServiceOptions, env: NodeJS.ProcessEnv = process.env): Found {
  const scope: Scope = system ? 'system' : 'user'
  const place = findPlace(scope, env)
  // What else the command looks at is of that gateway, too.
  if (system) env.LURKBOT_HOME = place.home
  return { place, service: createService(place, scope) }
}

function createService(place: ServicePlace, scope: Scope): ServiceManager {
  const { platform } = process
  if (scope === 'system' && platform !== 'linux') {
    throw new CliError(EXIT.USAGE, '--system is for systemd; here a service belongs to its user.')
  }
  const ended = () => waitForEnd(place.home)
  switch (platform) {
    case 'linux':
      return new SystemdService(place, { scope, run })
    case 'darwin':
      return new LaunchdService(place, { run, uid: process.getuid!(), ended })
    case 'win32':
      return new WindowsTask(place, { run, ended })
    default:
      throw new CliError(EXIT.UNAVAILABLE, `There are no services for ${platform} here.`, [
        ...withoutManager(),
      ])
  }
}

/** Resolves when no gateway of the state folder runs any more. */
export async function waitForEnd(home: string): Promise<void> {
  const deadline = performance.now() + END_TIMEOUT_MS
  for (;;) {
    const running = findRunning(home)
    if (running === null) return
    if (performance.now() > deadline) {
      throw new CliError(EXIT.FAILED, `The gateway (process ${running.pid}) does not end.`)
    }
    await delay(POLL_MS)
  }
}
