/**
 * Turns a pattern in which `*` stands for any run of characters into a predicate. Used for event names (`agent.*`) and
 * session keys (`telegram:*`). Linear in the length of the text: nothing is compiled to a backtracking expression.
 */
export function compilePattern(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return (text) => text === pattern
  const first = parts[0]!
  const last = parts[parts.length - 1]!
  const middle = parts.slice(1, -1).filter((part) => part !== '')
  if (first === '' && last === '' && middle.length === 0) return () => true
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
      return false
    let from = first.length
    const end = text.length - last.length
    for (const part of middle) {
      const at = text.indexOf(part, from)
      if (at === -1 || at + part.length > end) return false
      from = at + part.length
    }
    return true
  }
}

/** A predicate that is true where any of the patterns matches. */
export function compilePatterns(patterns: readonly string[]): (text: string) => boolean {
  if (patterns.includes('*')) return () => true
  const predicates = patterns.map(compilePattern)
  return (text) => predicates.some((matches) => matches(text))
}

/** What every text begins with that the pattern matches. */
export const literalPrefix = (pattern: string): string => pattern.split('*', 1)[0]!
