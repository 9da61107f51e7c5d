/** A message may be this long, in characters; the gateway has bounds of its own. */
const MAX_CHARS = 1_000_000

/**
 * Messages of several lines: a backslash at the end of a line goes on with the next one, and what stands between `/paste` and
 * `/end` is one message.
 */
export class InputLines {
  #lines: string[] = []
  #pasting = false
  #chars = 0

  /** Something has begun and is not whole yet. */
  get open(): boolean {
    return this.#pasting || this.#lines.length > 0
  }

  /** The message, command or answer that is whole with this line; null: more is to come. */
  take(line: string): string | null {
    const text = line.trim()
    if (!this.open && text === '/paste') {
      this.#pasting = true
      return null
    }
    const goesOn = this.#pasting ? text !== '/end' : line.endsWith('\\')
    const part = this.#pasting ? (goesOn ? line : null) : goesOn ? line.slice(0, -1) : line
    if (part !== null) this.#lines.push(part)
    this.#chars += line.length
    if (goesOn && this.#chars <= MAX_CHARS) return null
    const whole = this.#lines.join('\n')
    this.clear()
    return whole
  }

  clear(): void {
    this.#lines = []
    this.#pasting = false
    this.#chars = 0
  }
}
