import type { Documents } from '../journal/documents.js'
import { newTokenId } from '../journal/ids.js'
import type { Log } from '../log.js'
import { GatewayError } from '../protocol/errors.js'
import type { TokenInfo } from '../protocol/identity.js'
import { Turns } from '../sessions/turns.js'
import { digestKey, newSecret } from './digest.js'
import { Expiries } from './expiries.js'
import { type CredentialSource, type EndReason, type Identities, requireFreeName } from './identities.js'
import type { Principal } from './principal.js'
import { covers, principalWith, type Rights } from './rights.js'

const KIND = 'token'
const PAGE = 200
/** The one turn that all changes take: a name is looked for and then taken. */
const TURN = 'tokens'
/** How exactly it is known when a token was used last; ms. Each use would be a write otherwise. */
const USE_GRANULARITY_MS = 3_600_000

/** A token as it is stored: without its secret. */
interface StoredToken {
  readonly tokenId: string
  readonly name: string
  readonly rights: Rights
  readonly createdAt: number
  readonly createdBy: string
  readonly expiresAt: number | null
  readonly lastUsedAt: number | null
  readonly rotatedAt: number | null
  /** SHA-256, hexadecimal. */
  readonly digest: string
  /** The secret before the last rotation, while it is good. */
  readonly previous: { readonly digest: string; readonly until: number } | null
}

/** Each of its secrets is a principal of its own, so that the connections of one can be told from those of the other. */
interface Row {
  token: StoredToken
  /** By digest. */
  secrets: Map<string, Secret>
}

interface Secret {
  readonly principal: Principal
  /** Milliseconds since 1970; null: it does not expire. */
  readonly until: number | null
}

export interface IssuedTokensOptions {
  readonly documents: Documents
  readonly identities: Identities
  readonly maxTokens: number
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** Names a token by its id or by its name. */
export interface TokenChoice {
  readonly tokenId?: string
  readonly name?: string
}

/** The tokens that administrators make while the gateway runs: in memory to be asked for, in the journal to stay. */
export class IssuedTokens implements CredentialSource {
  readonly #options: IssuedTokensOptions
  readonly #now: () => number
  readonly #rows = new Map<string, Row>()
  readonly #byDigest = new Map<string, Row>()
  readonly #changes = new Turns()
  /** Digests, and when they are good no longer. */
  readonly #expiries: Expiries<string>

  constructor(options: IssuedTokensOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#expiries = new Expiries((digests) => this.#expire(digests), this.#now)
  }

  get size(): number {
    return this.#rows.size
  }

  /** Reads what there is, before the first connection. */
  async load(): Promise<void> {
    const { documents } = this.#options
    let before: { at: number; id: string } | undefined
    do {
      const page = await documents.documents({ kind: KIND, limit: PAGE, before })
      for (const { body } of page) this.#put(JSON.parse(body) as StoredToken)
      before = page.length < PAGE ? undefined : page.at(-1)
    } while (before !== undefined)
  }

  authenticate(given: string): Principal | null {
    if (this.#rows.size === 0) return null
    const digest = digestKey(given)
    const row = this.#byDigest.get(digest)
    const secret = row?.secrets.get(digest)
    if (row === undefined || secret === undefined) return null
    const now = this.#now()
    // The timer may be late.
    if (secret.until !== null && secret.until <= now) return null
    if (now - (row.token.lastUsedAt ?? 0) >= USE_GRANULARITY_MS) this.#noteUse(row, now)
    return secret.principal
  }

  /** Those that have no more rights than `by`. */
  list(by: Principal): TokenInfo[] {
    return [...this.#rows.values()]
      .filter(({ token }) => covers(by, token.rights))
      .map(({ token }) => describe(token))
  }

  /** @throws `CONFLICT` when the name is taken, `UNAVAILABLE` when there are too many or the journal cannot write. */
  issue(
    name: string,
    rights: Rights,
    by: Principal,
    expiresInMs: number | null,
  ): Promise<{ token: TokenInfo; secret: string }> {
    return this.#changes.take(TURN, async () => {
      const { identities, maxTokens } = this.#options
      requireFreeName(identities.configured, name)
      if (this.#named(name) !== undefined) throw taken(name)
      if (this.#rows.size >= maxTokens) {
        const message = `There are ${maxTokens} tokens already (auth.maxTokens); revoke some.`
        throw new GatewayError('UNAVAILABLE', message, { retryable: false })
      }
      const now = this.#now()
      const secret = newSecret('lbt')
      const token: StoredToken = {
        tokenId: newTokenId(),
        name,
        rights,
        createdAt: now,
        createdBy: by.name,
        expiresAt: expiresInMs === null ? null : now + expiresInMs,
        lastUsedAt: null,
        rotatedAt: null,
        digest: digestKey(secret),
        previous: null,
      }
      await this.#save(token)
      return { token: describe(token), secret }
    })
  }

  /** Gives it a new secret; that before stays good for `overlapMs`. @throws `NOT_FOUND`, `FORBIDDEN`. */
  rotate(
    choice: TokenChoice,
    overlapMs: number,
    by: Principal,
  ): Promise<{ token: TokenInfo; secret: string }> {
    return this.#changes.take(TURN, async () => {
      const { token } = this.#require(choice, by)
      const now = this.#now()
      const secret = newSecret('lbt')
      const rotated: StoredToken = {
        ...token,
        rotatedAt: now,
        digest: digestKey(secret),
        previous: overlapMs === 0 ? null : { digest: token.digest, until: now + overlapMs },
      }
      await this.#save(rotated)
      return { token: describe(rotated), secret }
    })
  }

  /** Ends it with its connections. @throws `NOT_FOUND`, `FORBIDDEN`. */
  revoke(choice: TokenChoice, by: Principal): Promise<string> {
    return this.#changes.take(TURN, async () => {
      const row = this.#require(choice, by)
      const { tokenId } = row.token
      await this.#options.documents.removeDocument(KIND, tokenId)
      this.#drop(row, 'revoked')
      return tokenId
    })
  }

  close(): void {
    this.#expiries.close()
  }

  #named(name: string): Row | undefined {
    for (const row of this.#rows.values()) if (row.token.name === name) return row
    return undefined
  }

  /** Whoever could change a token with more rights than their own could take those. */
  #require({ tokenId, name }: TokenChoice, by: Principal): Row {
    const row = tokenId === undefined ? this.#named(name ?? '') : this.#rows.get(tokenId)
    if (row === undefined) {
      throw new GatewayError('NOT_FOUND', 'tokens.new has made no such token, or it has ended.')
    }
    if (covers(by, row.token.rights)) return row
    throw new GatewayError('FORBIDDEN', 'That token has rights which these credentials do not have.')
  }

  async #save(token: StoredToken): Promise<void> {
    const { tokenId, createdAt, expiresAt } = token
    const record = { kind: KIND, id: tokenId, subject: null, at: createdAt, expiresAt }
    await this.#options.documents.saveDocuments([{ ...record, body: JSON.stringify(token) }])
    this.#put(token)
  }

  /** Takes a token as it is now; a secret that it has no longer ends. */
  #put(token: StoredToken): void {
    const row: Row = this.#rows.get(token.tokenId) ?? { token, secrets: new Map() }
    const { name, rights, expiresAt, previous } = token
    const ends = new Map([[token.digest, expiresAt]])
    if (previous !== null) ends.set(previous.digest, Math.min(previous.until, expiresAt ?? previous.until))
    const before = row.secrets
    row.token = token
    row.secrets = new Map()
    for (const [digest, until] of ends) {
      const principal = before.get(digest)?.principal ?? principalWith(name, rights)
      row.secrets.set(digest, { principal, until })
      this.#byDigest.set(digest, row)
      if (until !== null) this.#expiries.set(digest, until)
    }
    this.#rows.set(token.tokenId, row)
    this.#forget(
      [...before].filter(([digest]) => !row.secrets.has(digest)),
      'revoked',
    )
  }

  #drop(row: Row, reason: EndReason): void {
    this.#rows.delete(row.token.tokenId)
    this.#forget([...row.secrets], reason)
  }

  #forget(gone: readonly [digest: string, secret: Secret][], reason: EndReason): void {
    for (const [digest] of gone) {
      this.#byDigest.delete(digest)
      this.#expiries.delete(digest)
    }
    this.#options.identities.end(
      gone.map(([, { principal }]) => principal),
      reason,
    )
  }

  #expire(digests: readonly string[]): void {
    for (const digest of digests) {
      const row = this.#byDigest.get(digest)
      if (row === undefined) continue
      if (row.token.digest === digest) {
        this.#drop(row, 'expired')
        continue
      }
      const secret = row.secrets.get(digest)!
      row.secrets.delete(digest)
      row.token = { ...row.token, previous: null }
      this.#forget([[digest, secret]], 'expired')
    }
  }

  /** Nobody waits for it, and nothing depends on it. */
  #noteUse(row: Row, now: number): void {
    row.token = { ...row.token, lastUsedAt: now }
    const { tokenId } = row.token
    const noted = this.#changes.take(TURN, async () => {
      // Revoked meanwhile: it must not come back.
      if (this.#rows.get(tokenId) === row) await this.#save(row.token)
    })
    noted.catch((err: unknown) => {
      this.#options.log.warn({ err, tokenId }, 'the use of a token could not be noted')
    })
  }
}

function describe(token: StoredToken): TokenInfo {
  const { tokenId, name, rights, createdAt, createdBy, expiresAt, lastUsedAt, rotatedAt, previous } = token
  const { role, scopes, sessions } = rights
  return {
    tokenId,
    name,
    source: 'issued',
    role,
    scopes: [...scopes],
    sessions: sessions === null ? null : [...sessions],
    createdAt,
    createdBy,
    expiresAt,
    lastUsedAt,
    rotatedAt,
    previousUntil: previous?.until ?? null,
  }
}

function taken(name: string): GatewayError {
  return new GatewayError('CONFLICT', 'There is a token of that name already.', { details: { name } })
}
