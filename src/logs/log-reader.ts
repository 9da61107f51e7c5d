import type { BigIntStats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

const BLOCK_BYTES = 65_536
/** How often to look for more: not every file system tells of changes. */
const POLL_MS = 200
const LINE_FEED = 10

/** Reads a log file and those that were set aside from it (`….1` is the newest), and follows it through further rotations. */
export class LogReader {
  readonly #path: string
  #file: FileHandle | null = null
  /** What comes next is read from here. */
  #offset = 0
  /** The begin of a line whose end is not there yet. */
  #rest: Buffer = Buffer.alloc(0)

  constructor(path: string) {
    this.#path = path
  }

  /** The last lines that are accepted, oldest first; `follow` goes on behind them. */
  async last(limit: number, accept: (line: string) => boolean): Promise<string[]> {
    const newestFirst: string[] = []
    const take = (line: string) => {
      if (line !== '' && accept(line)) newestFirst.push(line)
      return newestFirst.length < limit
    }
    this.#file = await openIfThere(this.#path)
    if (this.#file !== null) this.#offset = await readBackwards(this.#file, take)
    for (let number = 1; newestFirst.length < limit; number++) {
      const older = await openIfThere(`${this.#path}.${number}`)
      if (older === null) break
      try {
        await readBackwards(older, take)
      } finally {
        await older.close()
      }
    }
    return newestFirst.slice(0, limit).reverse()
  }

  /** Each further line, until the signal; waits for the file where it is not there yet. */
  async *follow(signal: AbortSignal): AsyncGenerator<string> {
    while (!signal.aborted) {
      let any = false
      for await (const line of this.#more()) {
        any = true
        yield line
      }
      if (any || (await this.#moveOn())) continue
      await delay(POLL_MS, undefined, { signal }).catch(() => {})
    }
  }

  /** Twice is fine. */
  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }

  /** The lines up to the end of the file. */
  async *#more(): AsyncGenerator<string> {
    const block = Buffer.alloc(BLOCK_BYTES)
    while (this.#file !== null) {
      const { bytesRead } = await this.#file.read(block, 0, BLOCK_BYTES, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      let data = Buffer.concat([this.#rest, block.subarray(0, bytesRead)])
      for (let end = data.indexOf(LINE_FEED); end !== -1; end = data.indexOf(LINE_FEED)) {
        const line = data.subarray(0, end).toString('utf8')
        data = data.subarray(end + 1)
        if (line !== '') yield line
      }
      this.#rest = data
    }
  }

  /** At the end of the file: whether there is more to read all the same. */
  async #moveOn(): Promise<boolean> {
    if (this.#file === null) {
      this.#file = await openIfThere(this.#path)
      return this.#file !== null
    }
    const own = await this.#file.stat({ bigint: true })
    if (own.size > BigInt(this.#offset)) return true
    if (own.size < BigInt(this.#offset)) this.#begin()
    const current = await statIfThere(this.#path)
    // Without one, the next is about to be made.
    if (current === null || isSame(current, own)) return false
    return this.#openNext(own)
  }

  /** The file that was begun after `own` was set aside. */
  async #openNext(own: BigIntStats): Promise<boolean> {
    // Nobody writes to a file that was set aside; what came since the last look is read first.
    if ((await this.#file!.stat()).size > this.#offset) return true
    const number = await this.#numberOf(own)
    const next = await openIfThere(number <= 1 ? this.#path : `${this.#path}.${number - 1}`)
    if (next === null) return false
    const moved = (await this.#numberOf(own)) !== number
    if (moved) {
      await next.close()
      return true
    }
    await this.#file!.close()
    this.#file = next
    this.#begin()
    return true
  }

  /** Which of those that were set aside it is; one that is gone was older than them all. */
  async #numberOf(own: BigIntStats): Promise<number> {
    for (let number = 1; ; number++) {
      const found = await statIfThere(`${this.#path}.${number}`)
      if (found === null || isSame(found, own)) return number
    }
  }

  #begin(): void {
    this.#offset = 0
    this.#rest = Buffer.alloc(0)
  }
}

const isSame = (a: BigIntStats, b: BigIntStats) => a.ino === b.ino && a.dev === b.dev

/** Hands over whole lines, the last first, until `take` wants no more. Returns where the last one ends. */
async function readBackwards(file: FileHandle, take: (line: string) => boolean): Promise<number> {
  let at = (await file.stat()).size
  let end: number | null = null
  let rest: Buffer = Buffer.alloc(0)
  while (at > 0) {
    const length = Math.min(BLOCK_BYTES, at)
    at -= length
    const block = Buffer.alloc(length)
    await file.read(block, 0, length, at)
    rest = Buffer.concat([block, rest])
    if (end === null) {
      const last = rest.lastIndexOf(LINE_FEED)
      if (last === -1) continue
      end = at + last + 1
      rest = rest.subarray(0, last)
    }
    for (let from = rest.lastIndexOf(LINE_FEED); from !== -1; from = rest.lastIndexOf(LINE_FEED)) {
      if (!take(rest.subarray(from + 1).toString('utf8'))) return end
      rest = rest.subarray(0, from)
    }
  }
  if (end !== null) take(rest.toString('utf8'))
  return end ?? 0
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

async function statIfThere(path: string): Promise<BigIntStats | null> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
