import { EXIT, type ExitCode } from '../exit-codes.js'
import { findRunning, type PidRecord } from '../pid-file.js'
import { type Found, findService, type ServiceOptions, waitForEnd } from './create-service.js'
import { refuseOther, refuseStranger } from './owner.js'
import { waitForReady } from './ready.js'

/** `lurkbot daemon start`: resolves when the gateway is ready. */
export async function start(options: ServiceOptions): Promise<ExitCode> {
  const found = await findOwn(options, 'start')
  await found.service.start()
  return say(options, found, 'runs', await waitForReady(found))
}

/** `lurkbot daemon restart`: ends the process and starts a new one, of the program that is there now. */
export async function restart(options: ServiceOptions): Promise<ExitCode> {
  const found = await findOwn(options, 'restart')
  await found.service.restart()
  return say(options, found, 'has restarted', await waitForReady(found))
}

/** `lurkbot daemon stop`: resolves when the gateway has ended. */
export async function stop(options: ServiceOptions): Promise<ExitCode> {
  const found = findService(options)
  await refuseOther(found, 'stop')
  const { home } = found.place
  const { installed, pid } = await found.service.status()
  if (installed) {
    const isItsOwn = pid !== null && findRunning(home)?.pid === pid
    await found.service.stop()
    if (isItsOwn) await waitForEnd(home)
  }
  return say(options, found, 'has stopped', null)
}

/** Rejects where the service is not of this state folder, or another process is its gateway. */
async function findOwn(options: ServiceOptions, command: 'start' | 'restart'): Promise<Found> {
  const found = findService(options)
  await refuseOther(found, command)
  const status = await found.service.status()
  if (status.installed) refuseStranger(found, status, [`daemon ${command}`, 'then starts the service'])
  return found
}

function say({ json }: ServiceOptions, { service }: Found, what: string, ready: PidRecord | null): ExitCode {
  const { url = null, pid = null } = ready ?? {}
  if (json) console.log(JSON.stringify({ name: service.name, url, pid }, null, 2))
  else
    console.log(`The service ${service.name} ${what}${ready === null ? '' : ` at ${url} (process ${pid})`}.`)
  return EXIT.OK
}
