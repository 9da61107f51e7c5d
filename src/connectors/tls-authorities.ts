import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { resolveConfigPath } from '../config/paths.js'
import { ConfigError } from '../config/problems.js'

/**
 * The authorities that the option `ca` names; undefined: those of the system.
 * @throws ConfigError
 */
export function readAuthorities(ca: string | undefined, baseDir: string): string | undefined {
  if (ca === undefined) return undefined
  try {
    const pem = readFileSync(resolveConfigPath(baseDir, ca), 'utf8')
    createSecureContext({ ca: pem })
    return pem
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigError([{ path: 'ca', message: `expected a PEM file with certificates: ${reason}` }])
  }
}
