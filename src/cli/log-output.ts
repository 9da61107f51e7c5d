import { writeSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Logger, pino } from 'pino'
import type { LoadedConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { boundErrorFile } from '../logs/error-file.js'
import { createLogFile, type LogFile } from '../logs/log-file.js'
import { createLogRedactor } from '../logs/log-line.js'
import type { LogTap } from '../logs/log-tap.js'
import { logPaths } from '../logs/paths.js'
import { hasColors } from './paint.js'

/** For the last lines of a stop, when all else is closed. */
const FLUSH_MS = 1_000

/** Where the log of this process goes: standard output or a file, as the configuration says. `tap` gets every line as well. */
export class LogOutput {
  readonly #tap: LogTap
  /** Whether standard output and standard error are `gateway.err.log`. */
  readonly #detached: boolean
  #log: Logger | null = null
  #file: LogFile | null = null
  #settings = ''
  #maxBytes = 0
  #bounding = false

  constructor(tap: LogTap, detached: boolean) {
    this.#tap = tap
    this.#detached = detached
  }

  /** The path of the log file; null: it is standard output. */
  get file(): string | null {
    return this.#file?.path ?? null
  }

  /** The logger for this configuration: the same as before unless it says otherwise. */
  async open({ config, home }: Pick<LoadedConfig, 'config' | 'home'>): Promise<Logger> {
    const { level, format, file, keepLines } = config.log
    this.#tap.redactor = createLogRedactor(config, process.env)
    this.#tap.keep(keepLines)
    this.#boundErrors(home, file.maxBytes)
    const settings = JSON.stringify([format, file])
    if (this.#log === null || settings !== this.#settings) {
      const before = this.#file
      this.#file = file.enabled ? await this.#createFile(file, home) : null
      this.#log = pino(
        { level, hooks: { streamWrite: this.#tap.write } },
        this.#file ?? (await standardOutput(format)),
      )
      this.#settings = settings
      await before?.close(FLUSH_MS)
    }
    this.#log.level = level
    return this.#log
  }

  get isHanging(): boolean {
    return this.#file?.isHanging === true
  }

  reopen(): void {
    this.#file?.reopen()
  }

  async flush(): Promise<void> {
    await this.#file?.flush(FLUSH_MS)
  }

  flushSync(): void {
    this.#file?.flushSync()
  }

  /** Where the log is a file, standard error has what the process ended of as well. */
  sayCrash(error: unknown): void {
    if (this.#file === null) return
    const text = inspect(error)
    say(this.#tap.redactor?.text(text) ?? text)
  }

  #createFile(settings: Config['log']['file'], home: string): Promise<LogFile> {
    const path = logPaths(home).file
    return createLogFile({
      ...settings,
      path,
      onTrouble: ({ message }) =>
        say(`The log file ${path} cannot be written: ${message}; the gateway goes on.`),
      onLost: (lines) => {
        this.#tap.lost += lines
      },
    })
  }

  #boundErrors(home: string, maxBytes: number): void {
    this.#maxBytes = maxBytes
    if (!this.#detached || this.#bounding) return
    this.#bounding = true
    boundErrorFile(logPaths(home).errorFile, () => this.#maxBytes)
  }
}

/**
 * For people, or JSON lines. Written at once rather than by a worker thread, so that the last words of a dying process are
 * there.
 */
async function standardOutput(format: Config['log']['format']) {
  if (format !== 'pretty') return pino.destination({ dest: 1, sync: true })
  const { default: pretty } = await import('pino-pretty')
  return pretty({
    destination: 1,
    sync: true,
    colorize: hasColors(process.stdout),
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
  })
}

/** On standard error, which may be on the same full disk. */
function say(text: string): void {
  try {
    writeSync(2, `${text}\n`)
  } catch {
    // There is nowhere left to say it.
  }
}
