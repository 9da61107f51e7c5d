import type { SearchTerm } from '../journal/search.js'
import { wordsOf } from '../journal/words.js'
import { GatewayError } from '../protocol/errors.js'

const MAX_TERMS = 32
const PART = /"([^"]*)"?(\*?)|([^\s"]+)/g

/**
 * What someone typed: words, "phrases", and `beginnings*`. Anything else only separates words: there is nothing that it could
 * be wrong with. @throws `INVALID_REQUEST` where no word is in it, or too many are.
 */
export function parseQuery(query: string): SearchTerm[] {
  const terms: SearchTerm[] = []
  for (const [, phrase, star, plain] of query.matchAll(PART)) {
    const words = Array.from(wordsOf(phrase ?? plain ?? ''), ({ text }) => text)
    const prefix = star === '*' || plain?.endsWith('*') === true
    if (words.length > 0) terms.push({ words, prefix })
  }
  const count = terms.reduce((sum, { words }) => sum + words.length, 0)
  if (count === 0) throw invalidQuery('at least one word')
  if (count > MAX_TERMS) throw invalidQuery(`at most ${MAX_TERMS} words`)
  return terms
}

function invalidQuery(expected: string): GatewayError {
  const path = 'params.query'
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
