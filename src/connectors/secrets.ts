import type { Problem } from '../config/problems.js'

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/** A secret that is given as `<name>`, or as the environment variable that `<name>Env` names. */
export interface SecretOption {
  readonly name: string
  readonly value: string | undefined
  readonly variable: string | undefined
}

/** The secret; undefined: none is configured, or its variable is not set. */
export function readSecret({ value, variable }: SecretOption, env: NodeJS.ProcessEnv): string | undefined {
  return value ?? (variable === undefined ? undefined : env[variable]?.trim() || undefined)
}

/** What is wrong with a secret that has to be there, without showing what was found. */
export function* checkSecret(
  option: SecretOption,
  env: NodeJS.ProcessEnv,
  pattern: RegExp,
  expected: string,
): Generator<Problem> {
  const { name, value, variable } = option
  if (value !== undefined && variable !== undefined) {
    yield { path: name, message: `expected nothing beside ${name}Env` }
  } else if (value === undefined && variable === undefined) {
    yield {
      path: `${name}Env`,
      message: 'expected the environment variable that holds the token, found nothing',
    }
  } else if (variable !== undefined && !VARIABLE.test(variable)) {
    // Whoever mistakes it for the token itself must not find the token in a log.
    yield {
      path: `${name}Env`,
      message: 'expected the name of an environment variable (what was found is not shown)',
    }
  } else if (!pattern.test(readSecret(option, env) ?? '')) {
    const path = variable === undefined ? name : `${name}Env`
    const what = variable === undefined ? expected : `a variable that holds ${expected}`
    yield { path, message: `expected ${what} (its value is not shown)` }
  }
}

/** What is wrong with the URL of an API. */
export function* checkApiUrl(path: string, text: string): Generator<Problem> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    yield { path, message: 'expected an http or https URL' }
  } else if (url.username !== '' || url.password !== '') {
    yield { path, message: 'expected no credentials in the URL' }
  }
}
