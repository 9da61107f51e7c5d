import { existsSync, mkdirSync } from 'node:fs'
import { CliError } from '../cli-error.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { nextCommand } from '../next-command.js'
import type { PidRecord } from '../pid-file.js'
import { type Found, findService, type ServiceOptions } from './create-service.js'
import { refuseOther, refuseStranger } from './owner.js'
import { waitForReady } from './ready.js'
import type { Installed, ServicePlace } from './service-manager.js'
import { type Planned, planService } from './service-place.js'

export interface InstallOptions extends ServiceOptions {
  readonly dryRun?: boolean
}

/** `lurkbot daemon install`: makes the service or brings it up to date, and waits until the gateway is ready. */
export async function install(options: InstallOptions): Promise<ExitCode> {
  const found = findService(options)
  const { place, service } = found
  if (options.system) refuseHidden(place)
  const planned = await planService(place, process.env)
  if (options.dryRun) {
    const text = await service.definition(planned.plan)
    if (options.json) console.log(JSON.stringify({ path: service.path, definition: text }, null, 2))
    else process.stdout.write(text)
    return EXIT.OK
  }
  await refuseOther(found, 'install')
  const before = await service.status()
  refuseStranger(found, before, ['daemon install', 'then makes the service'])
  // systemd makes that of the machine.
  if (!options.system) mkdirSync(place.home, { recursive: true, mode: 0o700 })
  // The service may write in there, but not make it.
  if (planned.journalFolder !== null) mkdirSync(planned.journalFolder, { recursive: true, mode: 0o700 })
  const installed = await service.install(planned.plan)
  const advice = [...adviceOf(planned, found), ...(await service.advice())]
  if (!options.json) for (const line of advice) console.error(line)
  if (installed === 'updated' && isUp(before.state)) await service.restart()
  else await service.start()
  const ready = await waitForReady(found)
  console.log(options.json ? json(installed, found, ready, advice) : describe(installed, found, ready))
  return EXIT.OK
}

/** ProtectHome= and PrivateTmp= hide these folders from the service. */
const HIDDEN = /^\/(home|root|run\/user|tmp|var\/tmp)\//

function refuseHidden({ node, program }: ServicePlace): void {
  const path = [node, program].find((path) => HIDDEN.test(path))
  if (path === undefined) return
  throw new CliError(
    EXIT.USAGE,
    `A service of the machine cannot run ${path}: that folder is hidden from it.`,
    [
      'Install Node and the gateway where every user may read them, such as /usr and /opt, and run it from there;',
      'or leave --system away: the service of a user can.',
    ],
  )
}

const isUp = (state: string) => state !== 'stopped' && state !== 'failed'

function adviceOf({ missing, hasPrograms }: Planned, { place, service }: Found): string[] {
  const lines: string[] = []
  const isUnit = service.path.endsWith('.service')
  if (missing.length > 0) {
    // Other definitions name the file only if it was there when they were made.
    const applies = isUnit || existsSync(place.environmentFile) ? 'daemon restart' : 'daemon install'
    lines.push(
      `The service does not have these variables of this shell: ${missing.join(', ')}.`,
      `  Lines NAME=value in ${place.environmentFile} give them to it; then: ${nextCommand(applies)}`,
    )
  }
  if (hasPrograms && isUnit) {
    lines.push(
      'Agents of type acp may write in their cwd and the state folder, and nowhere else. To let them write in FOLDER:',
      `  systemctl --user edit ${service.name}   with the lines [Service] and ReadWritePaths=FOLDER`,
    )
  }
  return lines
}

function describe(installed: Installed, { place, service }: Found, ready: PidRecord): string {
  const what = {
    installed: `The ${service.kind} ${service.name} is installed and runs.`,
    updated: `The ${service.kind} ${service.name} was brought up to date and runs.`,
    unchanged: `The ${service.kind} ${service.name} was as it should be, and runs.`,
  }
  const rows = [
    ['address', ready.url],
    ['process', ready.pid],
    ['state', place.home],
    ['definition', service.path],
    ['secrets', place.environmentFile],
    ['log', service.logCommand],
  ] as const
  return [what[installed], ...rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}`)].join('\n')
}

function json(
  installed: Installed,
  { place, service }: Found,
  { url, pid, version }: PidRecord,
  advice: readonly string[],
): string {
  const { kind, name, path, logCommand } = service
  const { home, environmentFile } = place
  const report = { installed, kind, name, path, home, environmentFile, logCommand, url, pid, version, advice }
  return JSON.stringify(report, null, 2)
}
