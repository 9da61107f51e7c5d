import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../cli-error.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { nextCommand } from '../next-command.js'
import { readDefinition, removeDefinition, writeDefinition } from './definition-file.js'
import { launchdLabel, plistOwner, renderPlist } from './launchd-plist.js'
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

/** `bootout` may answer before the agent has gone. */
const POLL_MS = 100
/** Longer than any drain that somebody waits for. */
const UNLOAD_TIMEOUT_MS = 300_000

export interface LaunchdOptions {
  readonly run: Run
  /** Of the user whose agent it is. */
  readonly uid: number
  /** Resolves when no gateway of the state folder runs any more. */
  readonly ended: () => Promise<void>
}

/** An agent of the user in macOS. */
export class LaunchdService implements ServiceManager {
  readonly kind = 'launchd agent'
  readonly name: string
  readonly path: string
  readonly logCommand: string
  readonly #place: ServicePlace
  readonly #options: LaunchdOptions
  readonly #domain: string
  readonly #target: string

  constructor(place: ServicePlace, options: LaunchdOptions) {
    this.#place = place
    this.#options = options
    this.name = launchdLabel(place)
    this.path = join(homedir(), 'Library/LaunchAgents', `${this.name}.plist`)
    this.logCommand = nextCommand('gateway logs -f')
    this.#domain = `gui/${options.uid}`
    this.#target = `${this.#domain}/${this.name}`
  }

  async definition(plan: ServicePlan): Promise<string> {
    return renderPlist(this.#place, plan, existsSync(this.#place.environmentFile))
  }

  async owner(): Promise<ServiceOwner | null> {
    return plistOwner(readDefinition(this.path) ?? '')
  }

  async install(plan: ServicePlan): Promise<Installed> {
    const text = await this.definition(plan)
    const { code } = await this.#options.run('launchctl', ['print', this.#domain])
    if (code !== 0) throw unavailable(code)
    mkdirSync(join(this.#place.home, 'logs'), { recursive: true, mode: 0o700 })
    const installed = writeDefinition(this.path, text)
    // launchd reads a definition when it loads it, and never again.
    if (installed === 'updated') await this.#unload()
    await this.#launchctl('enable', this.#target)
    return installed
  }

  async uninstall(): Promise<readonly string[]> {
    await this.#unload()
    return removeDefinition(this.path)
  }

  async start(): Promise<void> {
    if (readDefinition(this.path) === null) {
      throw new CliError(EXIT.FAILED, `There is no ${this.kind} ${this.name}.`, [
        `${nextCommand('daemon install')}   makes it`,
      ])
    }
    if (await this.#isLoaded()) await this.#launchctl('kickstart', this.#target)
    else await this.#launchctl('bootstrap', this.#domain, this.path)
  }

  /** What is loaded is started again after a failure, even one of a stop. */
  async stop(): Promise<void> {
    await this.#unload()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.#options.ended()
    await this.start()
  }

  async status(): Promise<ServiceStatus> {
    const installed = readDefinition(this.path) !== null
    const { code, stdout } = await this.#options.run('launchctl', ['print', this.#target])
    if (code !== 0) {
      return { installed, enabled: installed, state: 'stopped', pid: null, detail: null, exitCode: null }
    }
    const field = (name: string) => new RegExp(`^\\s*${name} = (.+)$`, 'm').exec(stdout)?.[1] ?? null
    const pid = Number(field('pid')) || null
    const lastCode = Number.parseInt(field('last exit code') ?? '', 10) || 0
    const isKnown = Object.values<number>(EXIT).includes(lastCode)
    const state = pid !== null ? 'running' : lastCode === 0 ? 'stopped' : 'failed'
    return {
      installed,
      enabled: installed,
      state,
      pid,
      detail: state === 'failed' ? `exit code ${lastCode}` : null,
      exitCode: state === 'failed' && isKnown ? (lastCode as ExitCode) : null,
    }
  }

  async advice(): Promise<readonly string[]> {
    return []
  }

  async #unload(): Promise<void> {
    if (!(await this.#isLoaded())) return
    await this.#launchctl('bootout', this.#target)
    const deadline = performance.now() + UNLOAD_TIMEOUT_MS
    while (await this.#isLoaded()) {
      if (performance.now() > deadline) throw new CliError(EXIT.FAILED, `${this.name} does not end.`)
      await delay(POLL_MS)
    }
  }

  async #isLoaded(): Promise<boolean> {
    return (await this.#options.run('launchctl', ['print', this.#target])).code === 0
  }

  #launchctl(...args: string[]) {
    return mustRun(this.#options.run, 'launchctl', args)
  }
}

function unavailable(code: number): CliError {
  const why =
    code === 127 ? 'There is no launchctl here.' : 'There is no graphical session of this user for launchd.'
  return new CliError(EXIT.UNAVAILABLE, why, [...withoutManager()])
}
