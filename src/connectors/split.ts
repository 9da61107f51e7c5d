/** A fenced code block (CommonMark §4.5) that is open: the line that opened it, and what closes it. */
interface Fence {
  readonly open: string
  readonly close: string
}

interface Line {
  readonly start: number
  /** After its line break. */
  readonly end: number
  readonly isBlank: boolean
  readonly before: Fence | null
  readonly after: Fence | null
}

type LengthOf = (text: string) => number

const OPENING = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/**
 * Cuts a text into messages of at most `maxLength`, as `lengthOf` counts (default: UTF-16 code units). A fenced code block
 * stays whole where it fits into a message; a longer one is closed and opened again. Else it is cut, in this order of
 * preference, between paragraphs, lines, sentences, words and characters. Blanks at the cuts are left out.
 */
export function splitMessage(
  text: string,
  maxLength: number,
  lengthOf: LengthOf = (part) => part.length,
): string[] {
  return cutMessage(text, maxLength, lengthOf)
    .map(({ prefix, body, suffix }) => prefix + body + suffix)
    .filter((part) => part !== '')
}

/** A message: `raw` is the piece of the text that it stands for, `body` what is left of it without blanks at its ends. */
export interface Piece {
  readonly raw: string
  readonly prefix: string
  readonly body: string
  readonly suffix: string
}

/** The pieces of a text; together, their `raw` is the text. */
export function cutMessage(text: string, maxLength: number, lengthOf: LengthOf): Piece[] {
  const pieces: Piece[] = []
  let fence: Fence | null = null
  for (let rest = text; rest !== ''; ) {
    const cut = new Cutter(rest, fence, maxLength, lengthOf).cut()
    const raw = rest.slice(0, cut.at)
    pieces.push(render(raw, fence, cut.fence))
    rest = rest.slice(cut.at)
    fence = cut.fence
  }
  return pieces
}

function render(raw: string, before: Fence | null, after: Fence | null): Piece {
  const suffix = after === null ? '' : `\n${after.close}`
  let body = after === null ? raw.trimEnd() : raw.replace(/\n$/, '')
  if (before === null) return { raw, prefix: '', body: body.replace(/^(?:[^\S\n]*\n)+/, ''), suffix }
  const [first = ''] = body.split('\n', 1)
  if (!closes(first, before)) return { raw, prefix: `${before.open}\n`, body, suffix }
  // The block ended with the part before, which has closed it already.
  body = body.slice(first.length).replace(/^\n+/, '')
  return { raw, prefix: '', body, suffix }
}

/** Finds where one message ends. */
class Cutter {
  readonly #lines: Line[]
  /** The furthest place to cut, whatever fence is to be closed there. */
  readonly #reach: number

  constructor(
    private readonly rest: string,
    private readonly fence: Fence | null,
    private readonly maxLength: number,
    private readonly lengthOf: LengthOf,
  ) {
    // Nothing behind it can be reached; a platform that counts in bigger units gets shorter messages than it could take.
    const window = rest.slice(0, 2 * maxLength + 2)
    this.#lines = this.#scan(window)
    const prefix = fence === null ? '' : `${fence.open}\n`
    const longest = this.#lines.reduce(
      (most, { after }) => Math.max(most, this.#closing(after)),
      this.#closing(fence),
    )
    const fits = (n: number) => lengthOf(prefix + window.slice(0, n)) + longest <= maxLength
    let reach = 0
    for (let beyond = window.length === rest.length ? rest.length + 1 : window.length; beyond - reach > 1; ) {
      const middle = (reach + beyond) >> 1
      if (fits(middle)) reach = middle
      else beyond = middle
    }
    this.#reach = reach
  }

  cut(): { at: number; fence: Fence | null } {
    if (this.#reach >= this.rest.length) {
      return { at: this.rest.length, fence: this.#lines.at(-1)!.after }
    }
    const at = this.#place()
    const line = this.#lines.find(({ end }) => end >= at)!
    return { at, fence: line.end === at ? line.after : line.before }
  }

  #place(): number {
    const lines = this.#lines.filter(({ end }) => end <= this.#reach)
    const last = lines.at(-1)
    if (last === undefined) return this.#within(0)
    if (last.after === null) {
      const paragraph = lines.findLast((line, index) => line.after === null && this.#endsBlock(line, index))
      if (paragraph !== undefined && paragraph.end > this.#reach / 3) return paragraph.end
    } else {
      const opening = lines.findLast((line) => line.before === null && line.after !== null)
      const hasText = opening !== undefined && this.rest.slice(0, opening.start).trim() !== ''
      if (hasText && (opening === last || this.#isWhole(opening))) return opening.start
      if (opening === last) return this.#within(last.end)
    }
    return last.end > this.#reach / 4 ? last.end : this.#within(last.end)
  }

  /** Whether a paragraph or a code block ends with the line, or a code block begins after it. */
  #endsBlock({ isBlank, before }: Line, index: number): boolean {
    const next = this.#lines[index + 1]
    return isBlank || before !== null || (next !== undefined && next.after !== null)
  }

  /** Whether the block that begins here fits into a message. */
  #isWhole({ start }: Line): boolean {
    const end = this.#lines.find((line) => line.start > start && line.after === null)?.end
    return end !== undefined && this.lengthOf(this.rest.slice(start, end).trimEnd()) <= this.maxLength
  }

  /** A place inside the line that begins at `from` and is longer than there is room. */
  #within(from: number): number {
    const line = this.#lines.find(({ start }) => start === from)
    // The lines of fences are never cut.
    if (line !== undefined && line.before !== line.after && from > 0) return from
    const text = this.rest.slice(from, this.#reach)
    const sentence = lastEnd(text, /[.!?…]["'”’)\]]*\s+|[。！？]["'”’)\]]*\s*/g)
    if (sentence > text.length / 2) return from + sentence
    const word = lastEnd(text, /\s+/g)
    if (word > text.length / 4) return from + word
    const around = this.rest.slice(from, this.#reach + 64)
    const grapheme = graphemes.segment(around).containing(this.#reach - from)?.index ?? 0
    if (from + grapheme > 0) return from + grapheme
    // One character that is longer than a message.
    const at = isHalf(this.rest, this.#reach) ? this.#reach - 1 : this.#reach
    return at > 0 ? at : String.fromCodePoint(this.rest.codePointAt(0)!).length
  }

  #scan(window: string): Line[] {
    const lines: Line[] = []
    let fence = this.fence
    for (let start = 0; start < window.length; ) {
      const found = window.indexOf('\n', start)
      const end = found === -1 ? window.length : found + 1
      const line = window.slice(start, end).trimEnd()
      const before = fence
      fence = before === null ? this.#opened(line) : closes(line, before) ? null : before
      lines.push({ start, end, isBlank: line === '', before, after: fence })
      start = end
    }
    return lines
  }

  /** One that takes up too much of a message to be repeated in the next is a line like any other. */
  #opened(line: string): Fence | null {
    const [, marker, info] = OPENING.exec(line) ?? []
    if (marker === undefined || (marker.startsWith('`') && info!.includes('`'))) return null
    return this.lengthOf(line) + 1 > this.maxLength / 4 ? null : { open: line, close: marker }
  }

  #closing(fence: Fence | null): number {
    return fence === null ? 0 : this.lengthOf(`\n${fence.close}`)
  }
}

function closes(line: string, { close }: Fence): boolean {
  const bare = line.trim()
  return bare.length >= close.length && bare === close[0]!.repeat(bare.length) && /^ {0,3}\S/.test(line)
}

/** Where the last match ends; 0: there is none. */
function lastEnd(text: string, pattern: RegExp): number {
  let end = 0
  for (const match of text.matchAll(pattern)) end = match.index + match[0].length
  return end
}

/** Whether a cut there would split a surrogate pair. */
function isHalf(text: string, at: number): boolean {
  return at > 0 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1))
}
