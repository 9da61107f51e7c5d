import { timingSafeEqual } from 'node:crypto'
import type { Config } from '../config/schema.js'
import { digestOf } from './digest.js'
import type { Principal } from './principal.js'
import { principalWith, ROLE_SCOPES } from './rights.js'

type TokenEntry = Config['auth']['tokens'][number]

/** A token below this length may be guessed over a network. */
const SHORT_TOKEN = 16

/** The name of the token that the gateway makes for itself. */
export const AUTO_NAME = 'auto'

interface Row {
  readonly digest: Buffer
  readonly principal: Principal
}

/** Who is none of those of a new configuration any more. */
export interface TokenChange {
  /** Their tokens are gone. */
  readonly revoked: readonly Principal[]
  /** Their tokens are still good, for other rights. */
  readonly changed: readonly Principal[]
}

/** The configured tokens, as SHA-256 digests: the tokens themselves are not kept (spec §5). */
export class TokenStore {
  readonly #rows: readonly Row[]
  /** Names of the tokens of fewer than 16 characters. */
  readonly short: readonly string[]

  /**
   * @param autoToken the token that the gateway made for itself, with every scope.
   * @param before the store whose place this one takes: a token with the same rights stays the same principal.
   */
  constructor(tokens: readonly TokenEntry[], autoToken?: string, before?: TokenStore) {
    const entries = tokens.map(normalize)
    if (autoToken !== undefined) entries.push({ name: AUTO_NAME, token: autoToken, role: 'admin' })
    this.#rows = entries.map((entry, index) => {
      const digest = digestOf(entry.token)
      const principal = principalOf(entry)
      const earlier = before === undefined ? null : before.#find(digest)
      const given = tokens[index]
      // One that is called by its place is the same at another place.
      const isNamed = typeof given === 'object' && given.name !== undefined
      return { digest, principal: earlier && isSame(earlier, principal, isNamed) ? earlier : principal }
    })
    this.short = entries.filter(({ token }) => token.length < SHORT_TOKEN).map(({ name }) => name)
  }

  get size(): number {
    return this.#rows.length
  }

  get principals(): Principal[] {
    return this.#rows.map(({ principal }) => principal)
  }

  /** Who holds this secret; null: nobody. Takes the same time whichever token matches, or none. */
  authenticate(secret: string): Principal | null {
    return this.#find(digestOf(secret))
  }

  /** Who of this store ends with the coming of its successor. */
  endedBy(next: TokenStore): TokenChange {
    const ended = this.#rows.map(({ digest, principal }) => ({ principal, now: next.#find(digest) }))
    return {
      revoked: ended.filter(({ now }) => now === null).map(({ principal }) => principal),
      changed: ended
        .filter(({ principal, now }) => now !== null && now !== principal)
        .map(({ principal }) => principal),
    }
  }

  #find(digest: Buffer): Principal | null {
    let found: Principal | null = null
    for (const row of this.#rows) {
      if (timingSafeEqual(row.digest, digest)) found = row.principal
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

function principalOf({ name, role, scopes, limits, ...entry }: NamedEntry): Principal {
  const sessions = entry.sessions ?? null
  if (scopes !== undefined) return principalWith(name, { role: role ?? 'custom', scopes, sessions, limits })
  const granted = role ?? 'admin'
  return principalWith(name, { role: granted, scopes: ROLE_SCOPES[granted], sessions, limits })
}

function isSame(a: Principal, b: Principal, isNamed: boolean): boolean {
  return (!isNamed || a.name === b.name) && describe(a) === describe(b)
}

function describe({ role, scopes, sessions, limits }: Principal): string {
  return JSON.stringify([role, [...scopes].sort(), sessions, Object.entries(limits).sort()])
}
