import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import { nextCommand } from '../next-command.js'
import { findRunning } from '../pid-file.js'
import { signalGateway } from '../signal-gateway.js'
import { readDefinition, removeDefinition, writeDefinition } from './definition-file.js'
import { mustRun } from './run.js'
import type {
  Installed,
  Run,
  ServiceManager,
  ServiceOwner,
  ServicePlace,
  ServicePlan,
  ServiceStatus,
} from './service-manager.js'
import { unitName } from './systemd-unit.js'
import { renderTask, taskOwner } from './windows-task-xml.js'

export interface WindowsTaskOptions {
  readonly run: Run
  /** Default: that of the process. */
  readonly env?: NodeJS.ProcessEnv
  /** Resolves when no gateway of the state folder runs any more. */
  readonly ended: () => Promise<void>
}

/** A task of the user in the Task Scheduler of Windows, which begins when the user logs in. */
export class WindowsTask implements ServiceManager {
  readonly kind = 'Windows task'
  readonly name: string
  /** What the Task Scheduler was given; it keeps its own. */
  readonly path: string
  readonly logCommand: string
  readonly #place: ServicePlace
  readonly #options: WindowsTaskOptions

  constructor(place: ServicePlace, options: WindowsTaskOptions) {
    this.#place = place
    this.#options = options
    this.name = unitName(place)
    this.path = join(place.home, `${this.name}.xml`)
    this.logCommand = nextCommand('gateway logs -f')
  }

  async definition(_plan: ServicePlan): Promise<string> {
    const { USERDOMAIN: domain, USERNAME: name = '' } = this.#options.env ?? process.env
    const user = domain ? `${domain}\\${name}` : name
    return renderTask(this.#place, { user, hasEnvironmentFile: existsSync(this.#place.environmentFile) })
  }

  /** By the file in the state folder: what `schtasks` prints is in the characters of the console. */
  async owner(): Promise<ServiceOwner | null> {
    const { code, stdout } = await this.#options.run('schtasks', ['/Query', '/TN', this.name, '/XML'])
    return code === 0 ? taskOwner(readDefinition(this.path, 'utf16le') ?? stdout) : null
  }

  async install(plan: ServicePlan): Promise<Installed> {
    const text = await this.definition(plan)
    mkdirSync(join(this.#place.home, 'logs'), { recursive: true, mode: 0o700 })
    const installed = writeDefinition(this.path, text, 'utf16le')
    await this.#schtasks('/Create', '/F', '/TN', this.name, '/XML', this.path)
    return installed
  }

  async uninstall(): Promise<readonly string[]> {
    if (await this.#exists()) {
      await this.stop()
      await this.#options.ended()
      await this.#schtasks('/Delete', '/F', '/TN', this.name)
    }
    return removeDefinition(this.path)
  }

  async start(): Promise<void> {
    if (!(await this.#exists())) {
      throw new CliError(EXIT.FAILED, `There is no ${this.kind} ${this.name}.`, [
        `${nextCommand('daemon install')}   makes it`,
      ])
    }
    await this.#schtasks('/Run', '/TN', this.name)
  }

  /** Windows has no signal for a stop in order: what was accepted is in the journal, as after any other end. */
  async stop(): Promise<void> {
    await this.#schtasks('/End', '/TN', this.name)
    const running = findRunning(this.#place.home)
    if (running !== null) signalGateway(running, 'SIGTERM', 'stopped')
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.#options.ended()
    await this.start()
  }

  /** By the gateway's own file: what `schtasks` says of a running task is in the language of the system. */
  async status(): Promise<ServiceStatus> {
    const { code, stdout } = await this.#options.run('schtasks', ['/Query', '/TN', this.name, '/XML'])
    const installed = code === 0 && readDefinition(this.path) !== null
    const running = installed ? findRunning(this.#place.home) : null
    return {
      installed,
      enabled: installed && !/<Settings>.*<Enabled>false/s.test(stdout),
      state: running === null ? 'stopped' : 'running',
      pid: running?.pid ?? null,
      detail: null,
      exitCode: null,
    }
  }

  async advice(): Promise<readonly string[]> {
    return ['It starts when you log in, and ends when you log out.']
  }

  async #exists(): Promise<boolean> {
    return (await this.#options.run('schtasks', ['/Query', '/TN', this.name])).code === 0
  }

  #schtasks(...args: string[]) {
    return mustRun(this.#options.run, 'schtasks', args)
  }
}
