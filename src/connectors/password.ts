import { formatPath } from '../config/paths.js'
import type { Problem } from '../config/problems.js'

/** A password, or the environment variable that holds it; a schema with these two properties fits. */
export interface PasswordOptions {
  readonly password?: string
  readonly passwordEnv?: string
}

/** The password; undefined: none is configured. */
export function readPassword({ password, passwordEnv }: PasswordOptions, env: NodeJS.ProcessEnv) {
  return password ?? (passwordEnv === undefined ? undefined : env[passwordEnv] || undefined)
}

/** @param steps where the options are */
export function* checkPassword(
  options: PasswordOptions,
  env: NodeJS.ProcessEnv,
  steps: readonly (string | number)[] = [],
): Generator<Problem> {
  const { password, passwordEnv } = options
  if (passwordEnv !== undefined) {
    const path = formatPath([...steps, 'passwordEnv'])
    if (password !== undefined) {
      yield { path: formatPath([...steps, 'password']), message: 'expected nothing beside passwordEnv' }
    }
    // Whoever mistakes it for the password itself must not find the password in a log.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(passwordEnv)) {
      yield {
        path,
        message: 'expected the name of an environment variable (what was found is not shown)',
      }
    } else if (!env[passwordEnv]) {
      yield { path, message: `expected a variable that is set, ${passwordEnv} is not` }
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break in a password would end the protocol's line.
  if (/[\u0000\r\n]/.test(readPassword(options, env) ?? '')) {
    const path = formatPath([...steps, passwordEnv === undefined ? 'password' : 'passwordEnv'])
    yield { path, message: 'expected a password without line breaks (its value is not shown)' }
  }
}
