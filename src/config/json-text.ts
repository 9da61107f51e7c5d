import { formatPath, type Path } from './paths.js'
import { MAX_DEPTH } from './plain.js'

/** Where and why a text is not JSON. Says nothing of the text itself, which may hold secrets. */
export class JsonTextError extends Error {
  constructor(
    readonly line: number,
    readonly column: number,
    message: string,
  ) {
    super(message)
  }
}

export interface JsonText {
  readonly value: unknown
  /** The line, from 1, where the value at `path` or the nearest thing around it begins. */
  lineOf(path: Path): number
}

/** Where a string ends; JSON.parse says whether what is inside is allowed. */
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy
const SCALAR = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const BLANK = /[ \t\r\n]*/y

/**
 * JSON.parse with what it does not give on every version of Node: line and column of an error that does not quote the
 * text, the lines of values, and an error for a key that is there twice.
 *
 * @throws JsonTextError
 */
export function parseJsonText(text: string): JsonText {
  const scanner = new Scanner(text)
  scanner.document()
  return {
    value: JSON.parse(text),
    lineOf: (path) => {
      for (let length = path.length; length > 0; length--) {
        const at = scanner.positions.get(formatPath(path.slice(0, length)))
        if (at !== undefined) return scanner.place(at).line
      }
      return 1
    },
  }
}

class Scanner {
  readonly positions = new Map<string, number>()
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): void {
    this.#value([])
    if (this.#at < this.#text.length) this.#fail('expected the end of the text')
  }

  place(at: number): { line: number; column: number } {
    const before = this.#text.slice(0, at).split('\n')
    return { line: before.length, column: before[before.length - 1]!.length + 1 }
  }

  #value(path: Path): void {
    this.#take(BLANK)
    if (path.length > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH} levels`)
    const start = this.#text[this.#at]
    if (start === '{') this.#object(path)
    else if (start === '[') this.#array(path)
    else if (start === '"') this.#string()
    else if (this.#take(SCALAR) === '')
      this.#fail(start === undefined ? 'ends too early' : 'expected a value')
    this.#take(BLANK)
  }

  #object(path: Path): void {
    const seen = new Set<string>()
    this.#list('}', () => {
      this.#take(BLANK)
      const at = this.#at
      const key = this.#string()
      if (seen.has(key)) this.#fail(`the key ${JSON.stringify(key)} is there twice`, at)
      seen.add(key)
      this.positions.set(formatPath([...path, key]), at)
      this.#take(BLANK)
      if (this.#text[this.#at] !== ':') this.#fail("expected ':'")
      this.#at++
      this.#value([...path, key])
    })
  }

  #array(path: Path): void {
    let index = 0
    this.#list(']', () => {
      this.#take(BLANK)
      const here = [...path, index++]
      this.positions.set(formatPath(here), this.#at)
      this.#value(here)
    })
  }

  #list(close: string, member: () => void): void {
    this.#at++
    this.#take(BLANK)
    if (this.#text[this.#at] === close) {
      this.#at++
      return
    }
    for (;;) {
      member()
      const next = this.#text[this.#at]
      if (next !== ',' && next !== close) this.#fail(`expected ',' or '${close}'`)
      this.#at++
      if (next === close) return
    }
  }

  #string(): string {
    const start = this.#at
    if (this.#text[start] !== '"') this.#fail('expected text in "quotes"')
    const found = this.#take(STRING)
    if (found === '') this.#fail('a text in quotes has no end', start)
    try {
      return JSON.parse(found) as string
    } catch {
      return this.#fail('a text in quotes holds a line break or an unknown escape', start)
    }
  }

  #take(expression: RegExp): string {
    expression.lastIndex = this.#at
    const found = expression.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  #fail(message: string, at = this.#at): never {
    const { line, column } = this.place(at)
    throw new JsonTextError(line, column, message)
  }
}
