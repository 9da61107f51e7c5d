import { formatPath, type Path } from './paths.js'

interface Open {
  readonly kind: 'key' | 'item'
  readonly indent: number
  readonly path: Path
  /** The position of the next list item below it. */
  next: number
}

const QUOTED_KEY = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*:(?:\s|$)/

/** The key that a line begins with and what follows it; undefined: it does not begin with one. */
function keyOf(content: string): { key: string; rest: string } | undefined {
  const quoted = QUOTED_KEY.exec(content)
  if (quoted !== null) return { key: quoted[1]!.slice(1, -1), rest: content.slice(quoted[0].length).trim() }
  const end = content.search(/:(?:\s|$)/)
  if (end <= 0 || /^[#&*!|>'"%@`{}[\],]/.test(content)) return undefined
  return { key: content.slice(0, end).trimEnd(), rest: content.slice(end + 1).trim() }
}

/**
 * The lines, from 1, of the keys and list items of a YAML text that was found valid, for messages: the parser does not
 * say. Reads block style; what is inside `{…}` or `[…]` on one line gets that line, the line of the thing around it.
 */
export function yamlLines(text: string): (path: Path) => number | undefined {
  const lines = new Map<string, number>()
  let open: Open[] = []
  let blockScalarIndent: number | undefined

  const enter = (kind: Open['kind'], indent: number, step: string | number, line: number): void => {
    const path = [...(open.at(-1)?.path ?? []), step]
    open.push({ kind, indent, path, next: 0 })
    lines.set(formatPath(path), line)
  }
  let rootNext = 0

  for (const [index, raw] of text.split('\n').entries()) {
    let content = raw.trimStart()
    let indent = raw.length - content.length
    content = content.trimEnd()
    if (content === '' || content.startsWith('#')) continue
    if (blockScalarIndent !== undefined && indent > blockScalarIndent) continue
    blockScalarIndent = undefined
    if (indent === 0 && /^(?:---|\.\.\.|%)/.test(content)) continue

    while (content === '-' || content.startsWith('- ')) {
      // A list may stand at the same indentation as its key.
      open = open.filter((one) => one.indent < indent || (one.indent === indent && one.kind === 'key'))
      const parent = open.at(-1)
      enter('item', indent, parent === undefined ? rootNext++ : parent.next++, index + 1)
      const rest = content.slice(1).trimStart()
      if (/^[|>]/.test(rest)) blockScalarIndent = indent
      indent += content.length - rest.length
      content = rest
    }
    const found = keyOf(content)
    if (found === undefined) continue
    open = open.filter((one) => one.indent < indent)
    enter('key', indent, found.key, index + 1)
    if (/^[|>]/.test(found.rest)) blockScalarIndent = indent
  }

  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const line = lines.get(formatPath(path.slice(0, length)))
      if (line !== undefined) return line
    }
    return undefined
  }
}
