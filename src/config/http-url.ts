import { found } from './expectation.js'
import type { Problem } from './problems.js'

/**
 * What is wrong with an option that has to be the URL of an HTTP server.
 * @param instead where credentials belong
 */
export function* checkHttpUrl(
  path: string,
  text: string,
  expected: string,
  instead?: string,
): Generator<Problem> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    yield { path, message: `expected ${expected}, found ${found(text, false)}` }
  } else if (url.username !== '' || url.password !== '') {
    yield {
      path,
      message: `expected no credentials in the URL${instead === undefined ? '' : `; use ${instead}`}`,
    }
  }
}
