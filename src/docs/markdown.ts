/** A Markdown table; cells keep their line, whatever is in them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function cell(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')
}

export function code(text: string): string {
  return `\`${text}\``
}

/** The anchor that a heading gets on the usual Markdown hosts. */
export function anchor(heading: string): string {
  return `#${heading
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-')}`
}

/** A hand-written page whose parts between `<!-- generated:NAME -->` and `<!-- /generated -->` come from the code. */
export type Parts = Readonly<Record<string, () => string>>

/**
 * The page with its generated parts made anew.
 *
 * @throws Error where a part is missing, is there twice or is not known
 */
export function fillPage(page: string, parts: Parts): string {
  const seen = new Set<string>()
  const filled = page.replace(
    /<!-- generated:([a-z-]+) -->\n[\s\S]*?<!-- \/generated -->/g,
    (_, name: string) => {
      const make = parts[name]
      if (make === undefined || seen.has(name)) throw new Error(`generated part '${name}': unknown or twice`)
      seen.add(name)
      return `<!-- generated:${name} -->\n\n${make()}\n\n<!-- /generated -->`
    },
  )
  const missing = Object.keys(parts).filter((name) => !seen.has(name))
  if (missing.length > 0) throw new Error(`no place for the generated parts: ${missing.join(', ')}`)
  return filled
}
