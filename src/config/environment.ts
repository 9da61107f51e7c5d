import { KindGuard, type TSchema } from '@sinclair/typebox'
import { coerce } from './coerce.js'
import { JsonTextError } from './json-text.js'
import { childSchema, configKeys, ENV_PREFIX, envName, FLAT_NAMES, upperSnake } from './keys.js'
import { isObject, type Merged } from './merge.js'
import { formatPath } from './paths.js'
import { PlainError, plainCopy, plainErrorPath } from './plain.js'
import type { Problem } from './problems.js'
import { ConfigSchema } from './schema.js'
import { didYouMean } from './suggest.js'

/** Flags of the command line that are configuration; text is coerced as the environment's is. */
export interface ConfigFlags {
  readonly host?: string
  readonly port?: string | number
  readonly logLevel?: string
  /** Of `--daemon`: its log is a file. */
  readonly daemon?: boolean
}

interface Target {
  readonly path: readonly string[]
  readonly schema: TSchema | undefined
}

/**
 * Lays the `LURKBOT_GATEWAY__…` variables over what is merged already; longer names win over shorter ones. An empty
 * variable counts as unset, as Compose files and CI produce them.
 */
export function addEnvironment(merged: Merged, env: NodeJS.ProcessEnv, problems: Problem[]): void {
  const given = Object.keys(env)
    .filter((name) => name.startsWith(ENV_PREFIX) && env[name] !== undefined && env[name] !== '')
    .map((name) => ({ name, regular: regularName(name) }))
    .sort((a, b) => depth(a.regular) - depth(b.regular) || (a.name < b.name ? -1 : 1))
  const taken = new Map<string, string>()
  for (const { name, regular } of given) {
    const source = `environment ${name}`
    const other = taken.get(regular)
    if (other !== undefined && env[other] !== env[name]) {
      problems.push({
        path: '',
        source,
        message: `contradicts ${other}, which sets the same; expected one of the two`,
      })
      continue
    }
    taken.set(regular, name)
    const target = resolveName(regular.slice(ENV_PREFIX.length).split('__'), merged.value)
    if (target === undefined) {
      problems.push({ path: '', source, message: `unknown variable${didYouMean(name, knownNames())}` })
      continue
    }
    addText(merged, target, env[name]!, source, problems)
  }
}

export function addFlags(merged: Merged, flags: ConfigFlags, problems: Problem[]): void {
  const given: [string, string, string | number | boolean | undefined][] = [
    ['host', '--host', flags.host],
    ['port', '--port', flags.port],
    ['log.level', '--log-level', flags.logLevel],
    ['log.file.enabled', '--daemon', flags.daemon],
  ]
  for (const [name, flag, value] of given) {
    if (value === undefined) continue
    const path = name.split('.')
    const schema = path.reduce<TSchema | undefined>(childSchema, ConfigSchema)
    addText(merged, { path, schema }, String(value), `flag ${flag}`, problems)
  }
}

function addText(
  merged: Merged,
  { path, schema }: Target,
  text: string,
  source: string,
  problems: Problem[],
): void {
  try {
    const value = plainCopy(coerce(schema, text))
    merged.add({
      value: path.reduceRight<unknown>((below, key) => ({ [key]: below }), value) as Record<string, unknown>,
      source: () => source,
    })
  } catch (error) {
    if (error instanceof JsonTextError) {
      const at = error.line > 1 ? `line ${error.line}, column ${error.column}` : `column ${error.column}`
      problems.push({ path: formatPath(path), source, message: `not valid JSON at ${at}: ${error.message}` })
    } else if (error instanceof PlainError) {
      problems.push({ path: plainErrorPath(path, error), source, message: error.message })
    } else {
      throw error
    }
  }
}

function regularName(name: string): string {
  const rest = name.slice(ENV_PREFIX.length)
  return Object.hasOwn(FLAT_NAMES, rest) ? ENV_PREFIX + FLAT_NAMES[rest] : name
}

function depth(name: string): number {
  return name.split('__').length
}

/** Which key a variable means. Names in records and free-form options are those that exist already, else lower and camel case. */
function resolveName(segments: readonly string[], existing: unknown): Target | undefined {
  const path: string[] = []
  let schema: TSchema | undefined = ConfigSchema
  let value = existing
  for (const segment of segments) {
    if (!/^[A-Z0-9]+(?:_[A-Z0-9]+)*$/.test(segment)) return undefined
    let key: string | undefined
    if (schema !== undefined && KindGuard.IsObject(schema)) {
      key = Object.keys(schema.properties).find((one) => upperSnake(one) === segment)
      if (key === undefined && schema.additionalProperties !== true) return undefined
    } else if (schema !== undefined && !KindGuard.IsRecord(schema)) {
      return undefined
    }
    const isName: boolean = schema !== undefined && KindGuard.IsRecord(schema)
    key ??= isObject(value) ? Object.keys(value).find((one) => upperSnake(one) === segment) : undefined
    key ??= isName ? segment.toLowerCase() : camelCase(segment)
    path.push(key)
    schema = childSchema(schema, key)
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }
  return { path, schema }
}

function camelCase(segment: string): string {
  return segment.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

function* knownNames(): Generator<string> {
  for (const { path } of configKeys()) {
    if (!path.some((step) => step.startsWith('<') || step === '[]')) yield envName(path)
  }
}
