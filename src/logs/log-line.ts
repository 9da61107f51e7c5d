import { REDACTED, redactConfig } from '../config/redact.js'
import type { Config } from '../config/schema.js'
import { soundsSecret, withoutCredentials } from '../config/secrets.js'
import { LOG_LEVELS, type LogLevel, type LogLine } from '../protocol/log-line.js'

/** Of the names that sound like a secret's, those that are none. */
const NO_SECRETS = new Set(['sessionKey', 'idempotencyKey'])
/** A secret below this length would be found in words that have nothing to do with it. */
const SHORTEST_SECRET = 6
/** Of one text in a line; a stack is longer than most. */
const MAX_TEXT_LENGTH = 2_048

/** Pino's number of a level. */
export function levelNumber(level: LogLevel): number {
  return (LOG_LEVELS.indexOf(level) + 1) * 10
}

/**
 * Makes lines of pino's texts for operators to read over the wire. Nothing that is logged holds a secret on purpose: values of the
 * configuration's own, fields that sound like one, credentials in URLs and tokens are taken out all the same. `others`: secrets that
 * neither configuration nor environment has.
 */
export function lineReader(
  config: Config,
  env: NodeJS.ProcessEnv,
  others: readonly string[] = [],
): (text: string) => LogLine {
  const secrets = secretsOf(config, env, others).map(asInJson)
  return (text) => {
    const { level, time, msg, pid, hostname, ...fields } = parse(clean(text, secrets))
    return {
      at: typeof time === 'number' ? time : 0,
      level:
        LOG_LEVELS[Math.min(Math.max(Math.floor(Number(level) / 10), 1), LOG_LEVELS.length) - 1] ?? 'info',
      message: typeof msg === 'string' ? shorten(msg) : '',
      fields: redact(fields, shorten) as Record<string, unknown>,
    }
  }
}

/** Takes the same out of what is written. */
export interface LogRedactor {
  /** One of pino's texts, which stays one. */
  line(text: string): string
  /** Any other text. */
  text(text: string): string
}

export function createLogRedactor(
  config: Config,
  env: NodeJS.ProcessEnv,
  others: readonly string[] = [],
): LogRedactor {
  const secrets = secretsOf(config, env, others)
  const inJson = secrets.map(asInJson)
  return {
    line: (text) => {
      const cleaned = clean(text, inJson)
      return MAY_NAME_SECRETS.test(cleaned) ? withoutSecretFields(cleaned) : cleaned
    },
    text: (text) => clean(text, secrets),
  }
}

/** Tokens that the gateway has issued, to people (`lbt_`) and to devices (`lbd_`). */
const ISSUED = /\blb[td]_[A-Za-z0-9_-]{6,}/g

/** So that most lines need not be parsed. */
const MAY_NAME_SECRETS =
  /(?:key|token|secret|passw|passphrase|credential|authorization|cookie|env|header)[a-z]*":/i

function withoutSecretFields(text: string): string {
  try {
    return `${JSON.stringify(redact(JSON.parse(text), (value) => value))}\n`
  } catch {
    return text
  }
}

/** A line that is cut is no JSON any more: what there is of it is its message. */
function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    const [, level, time] = /^\{"level":(\d+),"time":(\d+)/.exec(text) ?? []
    const msg = text.replace(/"(\w+)":"(?:[^"\\]|\\.)*"?/g, (field, name: string) =>
      isSecret(name) ? `"${name}":"${REDACTED}"` : field,
    )
    return { level: Number(level), time: Number(time), msg: msg.slice(0, MAX_TEXT_LENGTH), cut: true }
  }
}

function clean(text: string, secrets: readonly string[]): string {
  let result = text
  for (const secret of secrets) result = result.replaceAll(secret, REDACTED)
  return withoutCredentials(result)
    .replace(/\b(bearer[ .])[A-Za-z0-9._~+/=-]{6,}/gi, `$1${REDACTED}`)
    .replace(ISSUED, REDACTED)
}

function redact(value: unknown, bound: (text: string) => string): unknown {
  if (typeof value === 'string') return bound(value)
  if (Array.isArray(value)) return value.map((item) => redact(item, bound))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [
      key,
      typeof child !== 'number' && isSecret(key) ? REDACTED : redact(child, bound),
    ]),
  )
}

function isSecret(name: string): boolean {
  return soundsSecret(name) && !NO_SECRETS.has(name)
}

function shorten(text: string): string {
  return text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text
}

const asInJson = (secret: string): string => JSON.stringify(secret).slice(1, -1)

/** What the configuration holds of secrets, or names in the environment (`apiKeyEnv`), and the others; longest first. */
function secretsOf(config: Config, env: NodeJS.ProcessEnv, others: readonly string[]): string[] {
  const found = new Set<string>(others)
  const add = (secret: string | undefined) => {
    if (secret !== undefined && secret.length >= SHORTEST_SECRET) found.add(secret)
  }
  const compare = (value: unknown, redacted: unknown, key: string): void => {
    if (typeof value === 'string') {
      if (redacted === REDACTED) add(value)
      else if (key.endsWith('Env')) add(env[value])
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, child] of Object.entries(value))
        compare(child, (redacted as Record<string, unknown>)[name], name)
    }
  }
  compare(config, redactConfig(config), '')
  return [...found].sort((a, b) => b.length - a.length)
}
