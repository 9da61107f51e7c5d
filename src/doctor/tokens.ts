import { chmodSync, statSync } from 'node:fs'
import { isAuthRequired, isReachable } from '../auth/auto-token.js'
import { nextCommand } from '../cli/next-command.js'
import { parsePath } from '../config/paths.js'
import { redactConfig } from '../config/redact.js'
import type { Config } from '../config/schema.js'
import {
  type Check,
  type DoctorContext,
  error,
  INSPECTION_TIMEOUT_MS,
  info,
  type Observation,
  ok,
  warning,
} from './check.js'

const SHORT = 16
/** What can be guessed over a network within a year at a thousand tries a second needs some 35 bits; this is far from it. */
const WEAK_BITS = 64

/** Those of the documentation, and what people write where they mean to come back. */
const SAMPLES =
  /^(?:token\d*|(?:your|my|test|a|the|some|secret|dev|demo|example)?[-_]?(?:secret|token|password|passwd|pass|key)\d*(?:[-_]here)?|changeme|change[-_]me|admin|test|example|12345\d*|lurkbot|replace[-_]?me|x{3,})$/i

const NEW_TOKEN = 'openssl rand -base64 32   makes one; put it in its place'

export const tokens: Check = {
  name: 'tokens',
  timeoutMs: INSPECTION_TIMEOUT_MS,
  async run(context) {
    const { loaded } = context
    if (loaded === null) return []
    const found = [...judgeTokens(loaded.config), ...fileWithTokens(context), ...(await expired(context))]
    if (found.length > 0) return found
    if (!isAuthRequired(loaded.config)) {
      return [
        info('Authentication is off: every program of this machine may do anything.', 'auth.enabled: true'),
      ]
    }
    return [
      ok(
        `Tokens are asked for, and the ${loaded.config.auth.tokens.length} of the configuration are strong.`,
      ),
    ]
  },
}

/** A token is called by its name or its place, and never shown. */
export function* judgeTokens(config: Pick<Config, 'host' | 'trustProxy' | 'auth'>): Generator<Observation> {
  const severe = isReachable(config) ? error : warning
  for (const [index, entry] of config.auth.tokens.entries()) {
    const { token, name } = typeof entry === 'string' ? { token: entry, name: undefined } : entry
    const called = `auth.tokens[${index}]${name === undefined ? '' : ` (${name})`}`
    if (SAMPLES.test(token)) yield error(`${called} is a sample value that everyone knows.`, NEW_TOKEN)
    else if (token.length < SHORT) yield severe(`${called} has fewer than ${SHORT} characters.`, NEW_TOKEN)
    else if (bitsOf(token) < WEAK_BITS)
      yield severe(`${called} is easily guessed: its characters repeat.`, NEW_TOKEN)
  }
}

/** An upper bound of what there is to guess: how many characters, of how many kinds and how evenly. */
function bitsOf(token: string): number {
  const counts = new Map<string, number>()
  for (const character of token) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= count * Math.log2(count / token.length)
  return bits
}

function fileWithTokens({ loaded, fix }: DoctorContext): Observation[] {
  const { configFile, sources } = loaded!
  if (configFile === null || process.platform === 'win32') return []
  const redacted = redactConfig(loaded!.config)
  const inFile = [...sources].some(
    ([path, source]) =>
      source.startsWith(configFile) && textAt(loaded!.config, path) !== textAt(redacted, path),
  )
  const mode = statSync(configFile).mode & 0o777
  if (!inFile || (mode & 0o077) === 0) return []
  if (fix) {
    chmodSync(configFile, 0o600)
    return [
      info(`${configFile} has secrets and was open to others (mode ${mode.toString(8)}); now it is not.`),
    ]
  }
  const message = `${configFile} has secrets, and others may read it (mode ${mode.toString(8)}).`
  return [(mode & 0o007 ? error : warning)(message, `chmod 600 '${configFile}'`, true)]
}

function textAt(config: Config, path: string): string | undefined {
  let value: unknown = config
  for (const step of parsePath(path) ?? [])
    value = (value as Record<string | number, unknown> | undefined)?.[step]
  return JSON.stringify(value)
}

async function expired(context: DoctorContext): Promise<Observation[]> {
  const names = (await context.inspectJournal())?.facts?.expiredTokens ?? []
  return names.map((name) =>
    info(`The issued token ${name} has expired.`, nextCommand(`token revoke ${name}`)),
  )
}
