import { type TOptional, type TString, Type } from '@sinclair/typebox'
import { formatPath, type Path } from './paths.js'
import type { Problem } from './problems.js'

export interface SecretRule {
  /** What it is, for descriptions: `the token of the bot`. */
  readonly is: string
  /** Added to the description, such as what follows when it is left out. */
  readonly more?: string
  /** What the value has to match: a regular expression. */
  readonly pattern: string
  /** The same in words. */
  readonly expected: string
  readonly required?: boolean
}

/** Options that hold a secret under `<name>`, or under `<name>Env` the name of the environment variable that does. */
export type HoldsSecret<N extends string> = { readonly [K in N | `${N}Env`]?: string }

/** A secret of an agent or connector that is given as `<name>`, or as the environment variable that `<name>Env` names. */
export interface SecretOption<N extends string> {
  /** The two properties, for the schema of the options. */
  readonly schema: { readonly [K in N | `${N}Env`]: TOptional<TString> }
  /** The secret; undefined: none is configured, or its variable is not set. */
  read(options: HoldsSecret<N>, env: NodeJS.ProcessEnv): string | undefined
  /**
   * The variable that is to hold the secret and is not set. No problem of the options, which would keep the whole gateway
   * from starting: whoever needs the secret answers `NOT_LINKED`.
   */
  unset(options: HoldsSecret<N>, env: NodeJS.ProcessEnv): string | undefined
  /**
   * What the schema cannot say, without showing what was found.
   * @param steps where the options are
   */
  check(options: HoldsSecret<N>, env: NodeJS.ProcessEnv, steps?: Path): Generator<Problem>
}

export function secretOption<N extends string>(name: N, rule: SecretRule): SecretOption<N> {
  const { is, more = '', pattern, expected, required = false } = rule
  const nameEnv = `${name}Env` as const
  const value = Type.String({
    pattern,
    secret: true,
    expected,
    description: `${is[0]!.toUpperCase()}${is.slice(1)} itself; \`${nameEnv}\` keeps it out of the file.`,
  })
  const properties = {
    [nameEnv]: variable(`The environment variable that holds ${is}.${more && ` ${more}`}`),
    [name]: Type.Optional(value),
  }
  return {
    schema: properties as SecretOption<N>['schema'],
    read: (options, env) => options[name] ?? readVariable(options[nameEnv], env),
    unset: (options, env) =>
      readVariable(options[nameEnv], env) === undefined ? options[nameEnv] : undefined,
    *check(options, env, steps = []) {
      const variable = options[nameEnv]
      const problem = (key: string, message: string) => ({ path: formatPath([...steps, key]), message })
      if (variable === undefined) {
        if (required && options[name] === undefined) {
          yield problem(
            nameEnv,
            `expected the environment variable that holds ${is}, or ${name}; found neither`,
          )
        }
        return
      }
      if (options[name] !== undefined) yield problem(name, `expected nothing beside ${nameEnv}`)
      const found = readVariable(variable, env)
      if (found !== undefined && !new RegExp(pattern).test(found)) {
        yield problem(nameEnv, `expected a variable that holds ${expected} (its value is not shown)`)
      }
    },
  }
}

/** The name of an environment variable, for what is to stay out of the file. */
export const variable = (description: string) =>
  Type.Optional(
    Type.String({
      // What a Standard Webhooks secret begins with: it may look like a name.
      pattern: '^(?!whsec_)[A-Za-z_][A-Za-z0-9_]*$',
      expected: 'the name of an environment variable',
      // Whoever mistakes it for the secret itself must not find that in a log.
      secret: true,
      description,
    }),
  )

/** Without the line break that many a tool puts after it. Undefined: it is not set, or blank. */
function readVariable(variable: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  const value = variable === undefined ? '' : (env[variable] ?? '')
  return value.trim() === '' ? undefined : value.replace(/[\r\n]+$/, '')
}
