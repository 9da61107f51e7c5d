import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import type { RotatingFileStream } from 'rotating-file-stream'
import type { Config } from '../config/schema.js'
import { within } from '../lifecycle/within.js'

/** Handed to the disk at a time; a file may grow past its size by so much. */
const BATCH_LENGTH = 65_536
const RETRY_MS = 1_000
/** A write that takes longer is one of a disk that may never answer. */
const HANGING_MS = 500

export interface LogFileOptions extends Omit<Config['log']['file'], 'enabled'> {
  readonly path: string
  /** Told once when writing begins to fail. */
  readonly onTrouble: (error: Error) => void
  readonly onLost: (lines: number) => void
}

type OpenStream = () => RotatingFileStream

/** Opens the file when the first line comes. Rejects only where the package is missing. */
export async function createLogFile(options: LogFileOptions): Promise<LogFile> {
  const { RotatingFileStream } = await import('rotating-file-stream')
  const folder = dirname(options.path)
  const name = basename(options.path)
  const interval = { num: Math.max(Math.round(options.rotateIntervalMs / 1_000), 1), unit: 's' as const }
  const open = () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    removeBeyond(folder, name, options.keepFiles)
    return new RotatingFileStream((index) => (index ? `${name}.${Number(index)}` : name), {
      path: folder + sep,
      mode: 0o600,
      size: options.maxBytes,
      interval,
      // A file that another process has left is as old as that left it.
      initialRotation: true,
      rotate: options.keepFiles,
    })
  }
  return new LogFile(options, open)
}

/** Those that are there since more were kept. */
function removeBeyond(folder: string, name: string, keep: number): void {
  for (const entry of readdirSync(folder)) {
    const number = entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : ''
    if (/^\d+$/.test(number) && Number(number) > keep) rmSync(join(folder, entry), { force: true })
  }
}

/**
 * A rotated file of lines, as pino's destination. Nothing waits for the disk: what it does not take waits in memory, up to a
 * bound, and is tried again; lines beyond that are left out, counted, and told of in the file when it can be written.
 */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #open: OpenStream
  #stream: RotatingFileStream | null = null
  /** Whether what the stream is given goes to the disk at once. */
  #isOpen = false
  #waiting: string[] = []
  #waitingLength = 0
  #underway: string | null = null
  #since = 0
  #scheduled = false
  #retry: NodeJS.Timeout | null = null
  #failing = false
  #lost = 0
  #idle: (() => void)[] = []

  constructor(options: LogFileOptions, open: OpenStream) {
    this.#options = options
    this.#open = open
  }

  get path(): string {
    return this.#options.path
  }

  /** Whether its disk does not answer: an exit of the process would wait for that. */
  get isHanging(): boolean {
    return this.#underway !== null && performance.now() - this.#since > HANGING_MS
  }

  write(line: string): void {
    if (this.#waitingLength + line.length > this.#options.maxPendingBytes) {
      this.#lost++
      this.#options.onLost(1)
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    this.#schedule()
  }

  /** Writes to a new file where this one was moved or removed. */
  reopen(): void {
    this.#stream?.end()
    this.#stream = null
  }

  /** Resolves when all is written, when that fails, or after `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    if (this.#isIdle || this.#retry !== null) return
    await within(new Promise<void>((resolve) => this.#idle.push(resolve)), limitMs)
  }

  /** For a process that ends now. A disk that seems to hang is left alone. Pino calls it after a line of the level fatal. */
  flushSync(): void {
    if (this.isHanging) return
    // What an open stream was given is written while the process exits.
    const text = (this.#isOpen ? '' : (this.#underway ?? '')) + this.#takeAll()
    if (text === '') return
    try {
      appendFileSync(this.path, text, { mode: 0o600 })
    } catch (error) {
      this.#waiting = [text]
      this.#waitingLength = text.length
      this.#fail(error as Error)
    }
  }

  /** Twice is fine. */
  async close(limitMs: number): Promise<void> {
    await this.flush(limitMs)
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.reopen()
  }

  get #isIdle(): boolean {
    return this.#underway === null && this.#waiting.length === 0
  }

  /** Not at once, so that lines of the same moment are one write, and a fatal one is written by `flushSync`. */
  #schedule(): void {
    if (this.#scheduled || this.#underway !== null || this.#retry !== null) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#next()
    })
  }

  #next(): void {
    if (this.#underway !== null || this.#retry !== null) return
    const text = this.#take()
    if (text === '') {
      this.#tellIdle()
      return
    }
    this.#underway = text
    this.#since = performance.now()
    try {
      this.#stream ??= this.#opened()
    } catch (error) {
      this.#putBack(error as Error)
      return
    }
    const stream = this.#stream
    stream.write(text, (error) => {
      if (error) {
        if (this.#stream === stream) this.#stream = null
        stream.destroy()
        this.#putBack(error)
        return
      }
      this.#failing = false
      this.#underway = null
      this.#next()
    })
  }

  #opened(): RotatingFileStream {
    const stream = this.#open()
    this.#isOpen = false
    // What fails is told to the write that it fails.
    stream.on('error', () => {})
    stream.on('open', () => {
      this.#isOpen = this.#stream === stream
    })
    stream.on('rotation', () => {
      this.#isOpen = false
    })
    return stream
  }

  #take(): string {
    const lines: string[] = []
    let length = 0
    if (this.#lost > 0) {
      lines.push(lostLine(this.#lost))
      this.#lost = 0
    }
    let count = 0
    while (count < this.#waiting.length && length < BATCH_LENGTH) length += this.#waiting[count++]!.length
    lines.push(...this.#waiting.splice(0, count))
    this.#waitingLength -= length
    // The disk may have taken a part of what failed; what follows begins a line of its own.
    return this.#failing && lines.length > 0 ? `\n${lines.join('')}` : lines.join('')
  }

  #takeAll(): string {
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#waitingLength = 0
    return text
  }

  #putBack(error: Error): void {
    const text = this.#underway!.trimStart()
    this.#waiting.unshift(text)
    this.#waitingLength += text.length
    this.#underway = null
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.#next()
    }, RETRY_MS)
    this.#retry.unref()
    this.#tellIdle()
    this.#fail(error)
  }

  #fail(error: Error): void {
    if (this.#failing) return
    this.#failing = true
    this.#options.onTrouble(error)
  }

  #tellIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}

function lostLine(lost: number): string {
  const msg = 'lines of the log were left out: its file could not be written fast enough'
  return `${JSON.stringify({ level: 40, time: Date.now(), pid: process.pid, lost, msg })}\n`
}
