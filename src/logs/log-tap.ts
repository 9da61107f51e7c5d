import type { LogRedactor } from './log-line.js'

/** Whoever wants the lines as they are written: JSON texts, as pino makes them. Must not throw. */
export type LogFollower = (line: string, level: number) => void

/** As long as a line may be to be kept as it is; of a longer one only what comes first is. */
export const MAX_LINE_LENGTH = 8_192

/**
 * Sees every line that a logger writes: keeps the newest, and tells those who follow. While nobody does it costs one place in
 * an array a line: nothing is parsed or copied.
 */
export class LogTap {
  /** Takes secrets out of every line, before anybody gets it. */
  redactor: LogRedactor | null = null
  /** Lines that a log file had to leave out. */
  lost = 0
  #lines: string[] = []
  #capacity = 500
  /** Where the next line goes, once the array is full. */
  #next = 0
  readonly #followers = new Set<LogFollower>()
  #telling = false

  /** To be given to pino as its hook `streamWrite`. */
  readonly write = (text: string): string => {
    const line = this.redactor === null ? text : this.redactor.line(text)
    const kept = line.length > MAX_LINE_LENGTH ? line.slice(0, MAX_LINE_LENGTH) : line
    if (this.#lines.length < this.#capacity) this.#lines.push(kept)
    else {
      this.#lines[this.#next] = kept
      this.#next = (this.#next + 1) % this.#capacity
    }
    if (this.#followers.size > 0) this.#tell(kept)
    return line
  }

  /** Keeps so many lines from here on, at least one; of those that it has, the newest. */
  keep(capacity: number): void {
    if (capacity === this.#capacity) return
    this.#lines = this.last(capacity)
    this.#capacity = capacity
    this.#next = 0
  }

  /** The newest lines of at least this level, of pino's numbers, oldest first. */
  last(limit: number, level = 0): string[] {
    const ordered = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)]
    const fitting = level === 0 ? ordered : ordered.filter((line) => levelOf(line) >= level)
    return limit === 0 ? [] : fitting.slice(-limit)
  }

  follow(follower: LogFollower): void {
    this.#followers.add(follower)
  }

  /** Twice is fine. */
  unfollow(follower: LogFollower): void {
    this.#followers.delete(follower)
  }

  /** What telling a line makes somebody log is kept, but not told: it would not end. */
  #tell(line: string): void {
    if (this.#telling) return
    this.#telling = true
    try {
      const level = levelOf(line)
      for (const follower of this.#followers) follower(line, level)
    } finally {
      this.#telling = false
    }
  }
}

/** Pino writes it first; 0: this line is not of pino's. */
export function levelOf(line: string): number {
  return Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 0)
}
