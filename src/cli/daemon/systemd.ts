import { rmdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { CliError } from '../cli-error.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { nextCommand } from '../next-command.js'
import { readDefinition, removeDefinition, writeDefinition } from './definition-file.js'
import { mustRun, withoutManager } from './run.js'
import type {
  Installed,
  Run,
  ServiceManager,
  ServiceOwner,
  ServicePlace,
  ServicePlan,
  ServiceStatus,
} from './service-manager.js'
import { renderUnit, type Scope, unitName, unitOwner } from './systemd-unit.js'

export interface SystemdOptions {
  readonly scope: Scope
  readonly run: Run
  /** Default: that of the process. */
  readonly env?: NodeJS.ProcessEnv
}

const PROPERTIES = [
  'ActiveState',
  'ExecMainStatus',
  'LoadState',
  'MainPID',
  'Result',
  'StatusText',
  'SubState',
  'UnitFileState',
]

const STATES: Record<string, ServiceStatus['state']> = {
  active: 'running',
  reloading: 'running',
  activating: 'starting',
  deactivating: 'stopping',
  failed: 'failed',
}

/** A unit of the user's systemd, or of the system's. */
export class SystemdService implements ServiceManager {
  readonly kind: string
  readonly name: string
  readonly path: string
  readonly logCommand: string
  readonly #place: ServicePlace
  readonly #scope: Scope
  readonly #run: Run
  readonly #env: NodeJS.ProcessEnv

  constructor(place: ServicePlace, { scope, run, env = process.env }: SystemdOptions) {
    this.#place = place
    this.#scope = scope
    this.#run = run
    this.#env = env
    this.name = `${unitName(place)}.service`
    this.kind = scope === 'user' ? 'systemd user unit' : 'systemd unit'
    const folder =
      scope === 'user'
        ? join(env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'systemd/user')
        : '/etc/systemd/system'
    this.path = join(folder, this.name)
    this.logCommand = ['journalctl', ...this.#scopeArgs, '-u', this.name, '-f'].join(' ')
  }

  get #scopeArgs(): string[] {
    return this.#scope === 'user' ? ['--user'] : []
  }

  get #flag(): string {
    return this.#scope === 'user' ? '' : ' --system'
  }

  async definition(plan: ServicePlan): Promise<string> {
    const { code, stdout } = await this.#run('systemctl', ['--version'])
    if (code !== 0) throw this.#unavailable('There is no systemctl here.')
    const version = Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0)
    return renderUnit({ ...this.#place, ...plan }, { scope: this.#scope, version })
  }

  async owner(): Promise<ServiceOwner | null> {
    return unitOwner(readDefinition(this.path) ?? '')
  }

  async install(plan: ServicePlan): Promise<Installed> {
    const text = await this.definition(plan)
    await this.#reach()
    const installed = writeDefinition(this.path, text)
    await this.#systemctl('daemon-reload')
    await this.#systemctl('enable', '--quiet', this.name)
    return installed
  }

  async uninstall(): Promise<readonly string[]> {
    await this.#reach()
    if (readDefinition(this.path) === null) return []
    await this.#systemctl('disable', '--quiet', '--now', this.name)
    const removed = removeDefinition(this.path)
    await this.#systemctl('daemon-reload')
    // What is known of a failure; there may be none.
    await this.#run('systemctl', [...this.#scopeArgs, 'reset-failed', this.name])
    if (this.#scope === 'user') {
      const folder = dirname(this.path)
      for (const made of [join(folder, 'default.target.wants'), folder, dirname(folder)]) removeEmpty(made)
    }
    return removed
  }

  start(): Promise<void> {
    return this.#bring('start')
  }

  async stop(): Promise<void> {
    await this.#reach()
    await this.#systemctl('stop', this.name)
  }

  restart(): Promise<void> {
    return this.#bring('restart')
  }

  async status(): Promise<ServiceStatus> {
    await this.#reach()
    const { stdout } = await this.#systemctl('show', this.name, `--property=${PROPERTIES.join(',')}`)
    const values = Object.fromEntries(
      stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )
    const state = STATES[values.ActiveState!] ?? 'stopped'
    const code = Number(values.ExecMainStatus)
    const why = `${values.Result}, exit code ${code}`
    const isTriedAgain = values.SubState === 'auto-restart'
    const hasEnded = state === 'failed' || isTriedAgain
    return {
      installed: values.LoadState === 'loaded',
      enabled: values.UnitFileState === 'enabled',
      state,
      pid: Number(values.MainPID) || null,
      detail:
        state === 'failed'
          ? why
          : isTriedAgain
            ? `has ended (${why}) and is started again`
            : values.StatusText || null,
      exitCode: hasEnded && Object.values<number>(EXIT).includes(code) ? (code as ExitCode) : null,
    }
  }

  async advice(): Promise<readonly string[]> {
    if (this.#scope === 'system') return []
    const user = this.#env.USER || this.#env.LOGNAME || ''
    const { code, stdout } = await this.#run('loginctl', ['show-user', user, '--property=Linger'])
    if (code === 0 && stdout.trim() === 'Linger=yes') return []
    return [
      'It ends when you log out, and starts when you log in again. To let it run from the start of the machine on:',
      '  loginctl enable-linger',
    ]
  }

  async #bring(verb: 'start' | 'restart'): Promise<void> {
    await this.#reach()
    const { code, stderr } = await this.#run('systemctl', [...this.#scopeArgs, verb, this.name])
    if (code === 0) return
    const { installed, detail, exitCode } = await this.status()
    if (!installed) {
      throw new CliError(EXIT.FAILED, `There is no ${this.kind} ${this.name}.`, [
        `${nextCommand('daemon install')}${this.#flag}   makes it`,
      ])
    }
    const log = this.logCommand.replace(/ -f$/, ' -n 30')
    const advice = [`${log}   shows what it said`]
    if (exitCode === EXIT.CONFIG)
      advice.unshift(`${nextCommand('config check')}   lists what is wrong with the configuration`)
    throw new CliError(
      exitCode ?? EXIT.FAILED,
      `The service ${this.name} did not ${verb}: ${detail ?? stderr.trim()}.`,
      advice,
    )
  }

  /** Rejects where there is no systemd to talk to. */
  async #reach(): Promise<void> {
    const { code, stderr } = await this.#run('systemctl', [...this.#scopeArgs, 'show', '--property=Version'])
    if (code === 0) return
    const said = stderr.trim().split('\n')[0] ?? ''
    throw this.#unavailable(
      code === 127
        ? 'There is no systemctl here.'
        : `The systemd of ${this.#scope === 'user' ? 'this user' : 'this machine'} does not answer: ${said}`,
    )
  }

  #unavailable(message: string): CliError {
    const isUser = this.#scope === 'user'
    return new CliError(EXIT.UNAVAILABLE, message, [
      ...withoutManager(),
      ...(isUser && !this.#env.XDG_RUNTIME_DIR
        ? ['export XDG_RUNTIME_DIR=/run/user/$(id -u)   first, in a shell that su or sudo opened']
        : []),
    ])
  }

  #systemctl(...args: string[]) {
    return mustRun(this.#run, 'systemctl', [...this.#scopeArgs, ...args])
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Others have something in it, or it is gone.
  }
}
