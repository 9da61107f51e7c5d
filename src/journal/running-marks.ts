import { closeSync, lstatSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import type { Log } from '../log.js'
import type { RunningMarks } from './engine.js'

/** A longer file is written anew, with what still counts: after some 10,000 marks. */
const COMPACT_BYTES = 256 * 1024
/** A file of this program does not get that long. */
const MAX_BYTES = 16 * 1024 * 1024

const HEADER = 'lurkbot running 1'
/** What can stand in a line among others. */
const ID = /^\S+$/
const BEGUN = /^\+(?: \S+)+$/
const COUNT = /^= (\S+) (\d{1,9})$/

export interface RunningMarksOptions {
  readonly path: string
  /** Of the journal that the file belongs to. */
  readonly epoch: string
  /** Whether the journal holds the event as waiting. Asked at the start only. */
  readonly isPending: (id: string) => boolean
  readonly log: Log
}

interface Found {
  readonly running: Set<string>
  /** Never 0. */
  readonly crashes: Map<string, number>
}

/**
 * Which events handlers are at work with, in a file that outlives the process. It needs no flush: what the system has, it
 * keeps when the process dies, and a power cut is no event's fault. After a line that names the journal come `+ <id> …`,
 * a handler began with these, and `= <id> <crashes>`, none is at work with it and so many deaths count. Nothing here throws.
 */
export class FileRunningMarks implements RunningMarks {
  readonly #options: RunningMarksOptions
  readonly #running = new Set<string>()
  readonly #crashes = new Map<string, number>()
  /** Null: there is none that could be added to. */
  #file: number | null = null
  #size = 0
  #compactAt = COMPACT_BYTES
  #warned = false
  #closed = false

  /** Counts a death for each event that a handler was at work with, unless the process before closed in order. */
  constructor(options: RunningMarksOptions) {
    this.#options = options
    const { path, epoch, isPending, log } = options
    try {
      const { running, crashes } = read(path, epoch)
      for (const id of running) crashes.set(id, (crashes.get(id) ?? 0) + 1)
      for (const [id, count] of crashes) if (isPending(id)) this.#crashes.set(id, count)
    } catch (err) {
      log.warn({ err, path }, 'the list of running events is ignored: deaths before this start do not count')
    }
    this.#rewrite()
  }

  crashes(id: string): number {
    return this.#crashes.get(id) ?? 0
  }

  begun(ids: readonly string[]): void {
    const marked = ids.filter((id) => ID.test(id))
    if (this.#closed || marked.length === 0) return
    for (const id of marked) this.#running.add(id)
    this.#append(`+ ${marked.join(' ')}\n`)
  }

  released(ids: readonly string[]): void {
    this.#append(
      ids
        .filter((id) => this.#running.delete(id))
        .map((id) => `= ${id} ${this.crashes(id)}\n`)
        .join(''),
    )
  }

  ended(ids: readonly string[], mayReturn: boolean): void {
    let lines = ''
    for (const id of ids) {
      const running = this.#running.delete(id)
      if (this.#crashes.delete(id) || running) lines += `= ${id} 0\n`
    }
    // What has ended for good does not wait at the next start, which tells as much.
    if (mayReturn) this.#append(lines)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#running.clear()
    const kept = this.#crashes.size > 0 && this.#rewrite()
    this.#release()
    if (!kept) this.#try(() => rmSync(this.#options.path, { force: true }))
  }

  #append(text: string): void {
    if (this.#closed || text === '') return
    if (this.#file === null || this.#size > this.#compactAt) return void this.#rewrite()
    const file = this.#file
    // One write for a line: whoever kills the process leaves all of it behind, or nothing.
    if (this.#try(() => writeAll(file, text))) this.#size += text.length
    // The next mark makes the file anew, without half a line in it.
    else this.#release()
  }

  /** Puts a new file in the place of the old one, which stands until then. */
  #rewrite(): boolean {
    const { path, epoch } = this.#options
    const draft = `${path}.new`
    const lines = [`${HEADER} ${epoch}`]
    for (const [id, count] of this.#crashes) lines.push(`= ${id} ${count}`)
    for (const id of this.#running) lines.push(`+ ${id}`)
    const text = `${lines.join('\n')}\n`
    this.#release()
    const done = this.#try(() => {
      rmSync(draft, { force: true })
      this.#file = openSync(draft, 'wx', 0o600)
      writeAll(this.#file, text)
      renameSync(draft, path)
    })
    if (!done) this.#release()
    this.#size = text.length
    // While much runs at once, not every mark makes a new file.
    this.#compactAt = Math.max(COMPACT_BYTES, 2 * this.#size)
    return done
  }

  #release(): void {
    const file = this.#file
    this.#file = null
    if (file !== null) this.#try(() => closeSync(file))
  }

  #try(work: () => void): boolean {
    try {
      work()
      return true
    } catch (err) {
      const { path, log } = this.#options
      if (!this.#warned) log.warn({ err, path }, 'which events run cannot be kept: deaths may not count')
      this.#warned = true
      return false
    }
  }
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.byteLength(text)
  const written = writeSync(file, text)
  if (written !== bytes) throw new Error(`the disk took ${written} of ${bytes} bytes`)
}

/** Throws where there is something that cannot be understood, or that belongs to another journal. */
function read(path: string, epoch: string): Found {
  const found: Found = { running: new Set(), crashes: new Map() }
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return found
  if (!stats.isFile() || stats.size > MAX_BYTES) throw new Error('it is no list of running events')
  const lines = readFileSync(path, 'utf8').split('\n')
  // Empty, or what was cut off.
  lines.pop()
  const header = lines.shift()
  if (header === undefined) return found
  if (!header.startsWith(`${HEADER} `)) throw new Error('it is no list of running events')
  if (header !== `${HEADER} ${epoch}`) throw new Error('it belongs to another journal')
  for (const line of lines) take(line, found)
  return found
}

function take(line: string, { running, crashes }: Found): void {
  if (BEGUN.test(line)) {
    for (const id of line.split(' ').slice(1)) running.add(id)
    return
  }
  const [, id, count] = COUNT.exec(line) ?? []
  if (id === undefined) throw new Error('it is damaged')
  running.delete(id)
  if (Number(count) > 0) crashes.set(id, Number(count))
  else crashes.delete(id)
}
