import { createHash, timingSafeEqual } from 'node:crypto'
import type { Config } from '../config/schema.js'
import { SCOPES, type Scope } from '../protocol/contract.js'
import { createPrincipal, type Principal } from './principal.js'

type TokenEntry = Config['auth']['tokens'][number]
type Role = NonNullable<Exclude<TokenEntry, string>['role']>

/** What each role may do. `agent` takes runs and nothing else: a run carries the history that it needs. */
export const ROLE_SCOPES: Readonly<Record<Role, readonly Scope[]>> = {
  admin: SCOPES,
  operator: ['read', 'write'],
  viewer: ['read'],
  agent: ['agent'],
}

/** A token below this length may be guessed over a network. */
const SHORT_TOKEN = 16

interface Row {
  readonly digest: Buffer
  readonly principal: Principal
}

/** The tokens that may connect, as SHA-256 digests: the tokens themselves are not kept (spec §5). */
export class TokenStore {
  readonly #rows: readonly Row[]
  /** Names of the tokens of fewer than 16 characters. */
  readonly short: readonly string[]

  /** @param autoToken the token that the gateway made for itself, with every scope. */
  constructor(tokens: readonly TokenEntry[], autoToken?: string) {
    const entries = tokens.map(normalize)
    if (autoToken !== undefined) entries.push({ name: 'auto', token: autoToken, role: 'admin' })
    this.#rows = entries.map((entry) => ({ digest: digest(entry.token), principal: principalOf(entry) }))
    this.short = entries.filter(({ token }) => token.length < SHORT_TOKEN).map(({ name }) => name)
  }

  get size(): number {
    return this.#rows.length
  }

  /** Who holds this secret; null: nobody. Takes the same time whichever token matches, or none. */
  authenticate(secret: string): Principal | null {
    const given = digest(secret)
    let found: Principal | null = null
    for (const row of this.#rows) {
      if (timingSafeEqual(row.digest, given)) found = row.principal
    }
    return found
  }
}

type NamedEntry = Exclude<TokenEntry, string> & { name: string }

/** A token without a name is called by its place in the configuration. */
function normalize(entry: TokenEntry, index: number): NamedEntry {
  const name = `tokens[${index}]`
  return typeof entry === 'string' ? { name, token: entry } : { ...entry, name: entry.name ?? name }
}

function principalOf({ name, role, scopes, sessions }: NamedEntry): Principal {
  if (scopes !== undefined) return createPrincipal({ name, role: role ?? 'custom', scopes, sessions })
  const granted = role ?? 'admin'
  return createPrincipal({ name, role: granted, scopes: ROLE_SCOPES[granted], sessions })
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}
