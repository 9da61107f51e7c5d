import { createHash, timingSafeEqual } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
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
  #rows: readonly Row[] = []
  #short: readonly string[] = []

  /** @param autoToken the token that the gateway made for itself, with every scope. */
  constructor(tokens: readonly TokenEntry[], autoToken?: string) {
    this.replace(tokens, autoToken)
  }

  /** Other tokens from now on. Returns whose credentials are gone or give other rights; the others stay who they are. */
  replace(tokens: readonly TokenEntry[], autoToken?: string): ReadonlySet<Principal> {
    const entries = tokens.map(normalize)
    if (autoToken !== undefined) entries.push({ name: 'auto', token: autoToken, role: 'admin' })
    const before = this.#rows
    this.#rows = entries.map((entry, index) => this.#row(entry, tokens[index]))
    this.#short = entries.filter(({ token }) => token.length < SHORT_TOKEN).map(({ name }) => name)
    const lost = new Set(before.map(({ principal }) => principal))
    for (const { principal } of this.#rows) lost.delete(principal)
    return lost
  }

  /** Names of the tokens of fewer than 16 characters. */
  get short(): readonly string[] {
    return this.#short
  }

  #row(entry: NamedEntry, given: TokenEntry | undefined): Row {
    const row = { digest: digest(entry.token), principal: principalOf(entry) }
    const same = this.#rows.find((old) => old.digest.equals(row.digest))
    // One that is called by its place is the same at another place.
    const named = typeof given === 'object' && given.name !== undefined
    return same !== undefined && isSame(same.principal, row.principal, named) ? same : row
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

function isSame(a: Principal, b: Principal, named: boolean): boolean {
  const rights = ({ role, scopes, sessions }: Principal) => ({ role, scopes, sessions })
  return (!named || a.name === b.name) && isDeepStrictEqual(rights(a), rights(b))
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}
