const MAX_LENGTH = 100

/** How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, beforeLast[j - 2]! + 1)
      }
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}

/** The candidate that was probably meant: the nearest one, unless even that is far off. Case, `_` and `-` do not count. */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  const normal = (text: string) => text.toLowerCase().replace(/[_-]/g, '')
  const wanted = normal(word)
  if (wanted.length > MAX_LENGTH) return undefined
  let nearest: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const found = normal(candidate)
    if (Math.abs(found.length - wanted.length) >= least) continue
    const far = distance(wanted, found)
    if (far < least) {
      least = far
      nearest = candidate
    }
  }
  return nearest
}

/** `; did you mean 'x'?`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const nearest = suggest(word, candidates)
  return nearest === undefined ? '' : `; did you mean '${nearest}'?`
}
