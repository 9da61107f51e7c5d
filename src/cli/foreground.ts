import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { type ConfigDraft, type LoadedConfig, loadConfig } from '../config/load.js'
import { profileOf } from '../config/paths.js'
import { ConfigError, formatProblem } from '../config/problems.js'
import { stopLimitMs } from '../lifecycle/stop-limit.js'
import { within } from '../lifecycle/within.js'
import { LogTap } from '../logs/log-tap.js'
import { VERSION } from '../version.js'
import { localAddress } from './address.js'
import { CliError } from './cli-error.js'
import { endProcess } from './end-process.js'
import { EXIT } from './exit-codes.js'
import { LogOutput } from './log-output.js'
import { nextCommand } from './next-command.js'
import { findRunning, type RestartRecord, writePidFile } from './pid-file.js'
import { exitCodeOf, explain, report } from './report.js'
import { alreadyRunning, listenError } from './start-errors.js'

export interface ForegroundOptions {
  readonly host?: string
  readonly port?: string
  readonly logLevel?: string
  readonly config?: string
  /** It runs in the background, and whoever started it waits to be told. */
  readonly detached?: boolean
}

type Place = Required<Omit<Parameters<typeof writePidFile>[1], 'lastRestart'>>

/** The gateway that this process is: started once, restarted in place, stopped once. */
export class Foreground {
  readonly #options: ForegroundOptions
  #loaded: LoadedConfig | null = null
  #log: Logger | null = null
  readonly #output: LogOutput
  readonly #logs = new LogTap()
  #app: FastifyInstance | null = null
  /** Where it listens, as the pid file says. */
  #place: Place | null = null
  #removePidFile = () => {}
  /** The start or restart that is under way. */
  #work: Promise<void> | null = null
  #restarts = 0
  #stopping = false

  constructor(options: ForegroundOptions) {
    this.#options = options
    this.#output = new LogOutput(this.#logs, options.detached === true)
  }

  /** Null until the configuration was read. */
  get log(): Logger | null {
    return this.#log
  }

  /** Where it listens, for whoever started it; null until it does. */
  get place(): (Place & { readonly home: string }) | null {
    return this.#place === null ? null : { ...this.#place, home: this.#loaded!.home }
  }

  /** What a stop may take at most; milliseconds. */
  get stopLimitMs(): number {
    return stopLimitMs(this.#loaded?.config)
  }

  /** Whether a thread has something to do on a disk: that of the journal, or one that writes the log and has not for long. */
  get diskIsBusy(): boolean {
    const app = this.#app
    if (this.#output.isHanging) return true
    return app !== null && (app.journal.waitingWrites > 0 || app.closing.unfinished.includes('journal'))
  }

  /** Resolves once the gateway listens, or when it was told to stop before. Rejects with why it cannot start. */
  start(): Promise<void> {
    return this.#do(async () => {
      const loaded = await this.#load()
      const running = findRunning(loaded.home)
      if (running !== null) throw alreadyRunning(running, loaded.home)
      await this.#open(loaded, loaded.config.port)
      try {
        if (!this.#stopping) this.#announce(null)
      } catch (error) {
        await this.#inTime(this.#close())
        throw error
      }
    })
  }

  /**
   * Begins anew in this process, at the same address. Does nothing while it starts, restarts or stops. A configuration with
   * problems changes nothing; what fails after that ends the process. Resolves when that is done; never rejects.
   */
  async restart(): Promise<void> {
    if (this.#listens) await this.#do(() => this.#restart())
    else this.#log?.info({}, 'not restarted: it starts, restarts or stops already')
  }

  /**
   * Applies what has changed in the configuration, as far as that needs no restart; what is wrong with it is logged. A log file
   * that somebody has moved away is begun anew. Never rejects.
   */
  async reload(): Promise<void> {
    this.#output.reopen()
    if (!this.#listens) {
      this.#log?.info({}, 'configuration not read anew: it starts, restarts or stops')
      return
    }
    try {
      await this.#app!.configControl.reload({ source: 'signal', by: null })
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems.map(formatProblem) : [explain(error)]
      this.#log!.error({ problems }, 'configuration refused: it goes on as it was')
    }
  }

  /** Resolves when everything is closed or has had its time, with the names of what is not closed. */
  async stop(): Promise<readonly string[]> {
    this.#stopping = true
    const { delayMs, drainTimeoutMs } = this.#loaded?.config.shutdown ?? {}
    this.#log?.info({ delayMs, drainTimeoutMs }, 'stopping')
    // Whoever began what is under way hears of its failure.
    const settled = (this.#work ?? Promise.resolve()).catch(() => {})
    const { hanging } = await this.#inTime(settled.then(() => this.#close()))
    if (hanging.length === 0) this.#log?.info({}, 'stopped')
    await this.#output.flush()
    return this.#output.isHanging ? [...hanging, 'log file'] : hanging
  }

  /** An error that nothing caught, with its stack. */
  sayCrash(err: unknown): void {
    // Anything may be thrown, `undefined` as well.
    if (this.#log === null) console.error(err)
    else this.#log.fatal({ err: err ?? String(err) }, 'uncaught error')
    this.#output.sayCrash(err)
  }

  /** What is left to do as the process ends, however. Twice is fine. */
  lastWords(): void {
    this.#removePidFile()
    this.#output.flushSync()
  }

  /** Whether there is something to restart, and nothing else is under way. */
  get #listens(): boolean {
    return this.#work === null && !this.#stopping && this.#app?.server.listening === true
  }

  async #do(work: () => Promise<void>): Promise<void> {
    this.#work = work()
    try {
      await this.#work
    } finally {
      this.#work = null
    }
  }

  #load(draft?: ConfigDraft): Promise<LoadedConfig> {
    const { config: configPath, detached: daemon, ...given } = this.#options
    const isTTY = process.stdout.isTTY === true
    return loadConfig({ env: process.env, flags: { ...given, daemon }, configPath, draft, isTTY })
  }

  async #open(loaded: LoadedConfig, port: number): Promise<void> {
    const { config } = loaded
    this.#log = await this.#output.open(loaded)
    this.#loaded = loaded
    const { buildApp } = await import('../app.js')
    if (this.#stopping) return
    const app = await buildApp({
      ...loaded,
      logger: this.#log,
      logs: this.#logs,
      load: (draft) => this.#load(draft),
    })
    this.#app = app
    if (this.#stopping) return
    try {
      await app.listen({ host: config.host, port })
    } catch (error) {
      await this.#inTime(this.#close())
      throw await listenError(error as NodeJS.ErrnoException, { host: config.host, port, home: loaded.home })
    }
    const { port: bound } = app.server.address() as AddressInfo
    const address = localAddress({
      host: config.host,
      port: bound,
      tls: config.tls.enabled,
      basePath: config.basePath,
    })
    this.#place = {
      startedAt: Date.now(),
      version: VERSION,
      ...address,
      configFile: loaded.configFile,
      logFile: this.#output.file,
      profile: profileOf(process.env),
    }
  }

  async #restart(): Promise<void> {
    const before = this.#loaded!.config
    const app = this.#app!
    const { port: bound } = app.server.address() as AddressInfo
    this.#restarts++
    const next = await this.#reload()
    if (next === null || this.#stopping) return
    this.#log!.info({ drainTimeoutMs: before.shutdown.drainTimeoutMs }, 'restarting')
    app.lifecycle.restarting = true
    try {
      const { closed, hanging } = await this.#inTime(this.#close())
      if (this.#stopping) return
      if (!closed || hanging.includes('journal')) throw notClosed(hanging)
      if (hanging.length > 0) this.#log!.warn({ hanging }, 'restarting without what hangs')
      // `port: 0` is any free one at the start; now clients know which.
      const keepsPort = before.port === 0 && next.config.port === 0
      await this.#open(next, keepsPort ? bound : next.config.port)
      if (!this.#stopping) this.#announce({ status: 'restarted', message: null, exitCode: EXIT.OK })
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The configuration as it is now; null where it was refused. */
  async #reload(): Promise<LoadedConfig | null> {
    this.#record({ status: 'underway', message: null, exitCode: EXIT.OK })
    try {
      const loaded = await this.#load()
      const { checkConfig } = await import('../app.js')
      await checkConfig({ ...loaded, logger: this.#log! })
      return loaded
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems.map(formatProblem) : [explain(error)]
      this.#log!.error({ problems }, 'not restarted: it goes on as it was')
      this.#record({ status: 'refused', message: explain(error), exitCode: exitCodeOf(error) })
      return null
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#app?.close()
    } catch (err) {
      this.#log!.error({ err }, 'a step of the stop failed')
    }
  }

  /** Waits for `closing`, but no longer than a stop may take. */
  async #inTime(closing: Promise<void>): Promise<{ closed: boolean; hanging: readonly string[] }> {
    const closed = await within(closing, this.stopLimitMs)
    const steps = this.#app?.closing.unfinished ?? []
    return { closed, hanging: closed || steps.length > 0 ? steps : ['the start, or a connection'] }
  }

  /** The last words of a gateway that could not begin anew. The pid file stays for the command that waits. */
  #fail(error: unknown): void {
    const exitCode = report(error)
    this.#log!.fatal({ reason: explain(error) }, 'the gateway could not start again')
    this.#record({ status: 'failed', message: explain(error), exitCode })
    this.#removePidFile = () => {}
    endProcess({ exitCode, isBusy: () => this.diskIsBusy, last: () => this.lastWords() })
  }

  /** A restart counts even where it cannot be written down, as on a full disk. */
  #record(restart: Omit<RestartRecord, 'number'> | null): void {
    const lastRestart = restart === null ? null : { number: this.#restarts, ...restart }
    try {
      this.#removePidFile = writePidFile(this.#loaded!.home, { ...this.#place!, lastRestart }).remove
    } catch (err) {
      if (restart === null) throw err
      this.#log!.warn({ err }, 'the pid file cannot be written')
    }
  }

  #announce(restart: Omit<RestartRecord, 'number'> | null): void {
    this.#record(restart)
    const { config, home } = this.#loaded!
    const { url, logFile } = this.#place!
    const forPeople = config.log.format === 'pretty' && restart === null
    if (!forPeople || logFile !== null) {
      this.#log!.info({ url, home }, restart === null ? 'gateway started' : 'gateway restarted')
    }
    if (!forPeople) return
    console.log(`LurkBot gateway listens at ${url} (process ${process.pid}, state in ${home})`)
    if (logFile !== null) console.log(`Its log is in ${logFile}`)
    console.log(`Talk to it from another terminal:  ${nextCommand('gateway chat')}`)
  }
}

function notClosed(hanging: readonly string[]): CliError {
  return new CliError(EXIT.FAILED, `The gateway could not be closed: what hangs is ${hanging.join(', ')}.`)
}
