import { EXIT, type ExitCode } from '../exit-codes.js'
import { describe, inspect } from '../gateway-status.js'
import { nextCommand } from '../next-command.js'
import { findTarget } from '../target.js'
import { type Found, findService, type ServiceOptions } from './create-service.js'
import type { ServiceStatus } from './service-manager.js'
import { serviceEnv } from './service-place.js'

/** `lurkbot daemon status`: exit code 0 when the service runs and answers, 3 when it does not run, 1 when it does not answer. */
export async function status(options: ServiceOptions): Promise<ExitCode> {
  const found = findService(options)
  const state = await found.service.status()
  const isUp = state.state !== 'stopped' && state.state !== 'failed'
  const target = isUp ? await findTarget({}, serviceEnv(found.place, process.env)) : null
  const gateway = target === null ? null : await inspect(target)
  const { kind, name, path, logCommand } = found.service
  const report = { kind, name, path, logCommand, ...state, gateway }
  const about = gateway === null ? `  ${nextCommand('daemon start')}   starts it` : describe(gateway, target!)
  console.log(options.json ? JSON.stringify(report, null, 2) : text(found, state, about))
  if (gateway === null) return EXIT.NOT_RUNNING
  return gateway.status === 'running' ? EXIT.OK : EXIT.FAILED
}

function text({ service }: Found, state: ServiceStatus, about: string): string {
  const { kind, name, path, logCommand } = service
  if (!state.installed) return `There is no ${kind} ${name}.\n  ${nextCommand('daemon install')}   makes it`
  const what = {
    running: 'runs',
    starting: 'starts',
    stopping: 'stops',
    stopped: 'is stopped',
    failed: 'has failed',
  }
  const rows = [
    ['definition', path],
    ['at log-in', state.enabled ? 'starts' : 'does not start'],
    ...(state.detail === null ? [] : [['says', state.detail]]),
    ['log', logCommand],
  ]
  return [
    `The ${kind} ${name} ${what[state.state]}.`,
    ...rows.map(([name, value]) => `  ${name!.padEnd(12)} ${value}`),
    about,
  ].join('\n')
}
