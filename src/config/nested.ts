import { ConfigError, type Problem } from './problems.js'

/**
 * What went wrong with the making of one entry of the configuration, such as an agent. Paths of a `ConfigError` are relative to
 * the entry at `base`; anything else is a problem of the entry as a whole.
 *
 * @param what the entry is, for messages
 * @param sources who set each key of the configuration
 */
export function problemsBelow(
  base: string,
  what: string,
  error: unknown,
  sources?: ReadonlyMap<string, string>,
): Problem[] {
  if (!(error instanceof ConfigError)) {
    const message = error instanceof Error ? error.message : String(error)
    return [{ path: base, message: `the ${what} cannot start: ${message}` }]
  }
  return error.problems.map(({ path, source, message }) => {
    const below = path === '' || path.startsWith('[') ? `${base}${path}` : `${base}.${path}`
    // What is missing has no source of its own: whoever wrote the entry is to add it.
    return { path: below, source: source ?? sources?.get(below) ?? sources?.get(`${base}.type`), message }
  })
}
