import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Lines that are kept. */
const MAX_LINES = 1_000
/** A longer line is not kept. */
const MAX_CHARS = 10_000
/** The file may grow to this many lines before it is cut. */
const FILE_LINES = 2 * MAX_LINES

/**
 * What was typed at the prompt, over all chats of a state folder: a file for this user alone, one line an entry, oldest first.
 * It is a convenience: where it cannot be read or written, there is none.
 */
export class InputHistory {
  readonly #path: string
  #last = ''
  #writing: Promise<void> = Promise.resolve()

  constructor(home: string) {
    this.#path = join(home, 'chat-history')
  }

  /** The latest first, as readline wants them. Cuts the file where it has grown. */
  read(): string[] {
    let lines: string[]
    try {
      lines = readFileSync(this.#path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    } catch {
      return []
    }
    if (lines.length > FILE_LINES) this.#replace(lines.slice(-MAX_LINES))
    this.#last = lines.at(-1) ?? ''
    return lines.slice(-MAX_LINES).reverse()
  }

  /** Chats beside each other append without losing what the other one had. */
  add(line: string): void {
    if (line.trim() === '' || line === this.#last || line.length > MAX_CHARS) return
    this.#last = line
    this.#writing = this.#writing
      .then(() => appendFile(this.#path, `${line}\n`, { mode: 0o600 }))
      .catch(() => {})
  }

  /** Resolves when everything is written. */
  async written(): Promise<void> {
    await this.#writing
  }

  #replace(lines: readonly string[]): void {
    const next = `${this.#path}.${process.pid}`
    try {
      writeFileSync(next, `${lines.join('\n')}\n`, { mode: 0o600 })
      chmodSync(next, 0o600)
      renameSync(next, this.#path)
    } catch {
      // Then it is cut another time.
    }
  }
}
