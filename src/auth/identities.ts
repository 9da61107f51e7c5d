import type { Config } from '../config/schema.js'
import { GatewayError } from '../protocol/errors.js'
import { ANONYMOUS, type Principal } from './principal.js'
import { AUTO_NAME, type TokenChange, TokenStore } from './tokens.js'

/** Knows some of those who may come. */
export interface CredentialSource {
  /**
   * Who holds this secret; null: nobody that it knows. A promise only where something may have to be fetched.
   * @throws `UNAVAILABLE` when that cannot be told at the moment.
   */
  authenticate(secret: string): Principal | null | Promise<Principal | null>
}

/** `changed`: the credentials are still good, for other rights. */
export type EndReason = 'revoked' | 'changed' | 'expired'

/** Told at once when credentials end: whoever came with them has to go. */
export type OnEnded = (ended: ReadonlySet<Principal>, reason: EndReason) => void

export interface IdentitiesOptions {
  readonly tokens: Config['auth']['tokens']
  /** Whether credentials are asked for, with these tokens. */
  readonly isRequired: (tokens: Config['auth']['tokens']) => boolean
  /** The token that the gateway makes for itself where it has none. */
  readonly autoToken: () => Promise<string>
}

/** Everyone who may come, from whichever source, and whose time is over. */
export class Identities {
  readonly #options: IdentitiesOptions
  readonly #sources: CredentialSource[] = []
  readonly #ended = new WeakSet<Principal>()
  readonly #listeners: OnEnded[] = []
  #enabled = false
  #configured = new TokenStore([])
  #ownToken: string | null = null

  private constructor(options: IdentitiesOptions) {
    this.#options = options
  }

  static async create(options: IdentitiesOptions): Promise<Identities> {
    const identities = new Identities(options)
    const apply = await identities.prepareTokens(options.tokens)
    apply()
    return identities
  }

  /** Off: everyone is the anonymous principal. */
  get enabled(): boolean {
    return this.#enabled
  }

  /** The token that the gateway has made for itself, where it needs one. */
  get ownToken(): string | null {
    return this.#ownToken
  }

  get configured(): TokenStore {
    return this.#configured
  }

  /** Asked in the order in which they were added, after the configured tokens. */
  addSource(source: CredentialSource): void {
    this.#sources.push(source)
  }

  authenticate(secret: string): Principal | null | Promise<Principal | null> {
    const configured = this.#configured.authenticate(secret)
    if (configured !== null) return configured
    for (const source of this.#sources) {
      const found = source.authenticate(secret)
      if (found !== null) return found
    }
    return null
  }

  /**
   * Makes ready to replace the configured tokens; what is returned does it, and cannot fail. Who had a token that is gone, or
   * has other rights now, is ended at once.
   * @throws ConfigError when a token of the gateway's own is needed and cannot be made; then nothing has changed.
   */
  async prepareTokens(tokens: Config['auth']['tokens']): Promise<() => TokenChange> {
    const enabled = this.#options.isRequired(tokens)
    const own = enabled && tokens.length === 0 ? await this.#options.autoToken() : undefined
    return () => {
      const before = this.#configured
      const wasEnabled = this.#enabled
      this.#configured = new TokenStore(tokens, own, before)
      this.#ownToken = own ?? null
      this.#enabled = enabled
      const change = before.endedBy(this.#configured)
      this.end(change.revoked, 'revoked')
      this.end(change.changed, 'changed')
      if (enabled && !wasEnabled) this.#tell([ANONYMOUS], 'revoked')
      return change
    }
  }

  /** These credentials are good for nothing any more. */
  end(principals: readonly Principal[], reason: EndReason): void {
    for (const principal of principals) this.#ended.add(principal)
    this.#tell(principals, reason)
  }

  /** Whether someone who came in meanwhile may not stay. */
  hasEnded(principal: Principal): boolean {
    return principal === ANONYMOUS ? this.#enabled : this.#ended.has(principal)
  }

  onEnded(listener: OnEnded): void {
    this.#listeners.push(listener)
  }

  #tell(principals: readonly Principal[], reason: EndReason): void {
    if (principals.length === 0) return
    const ended = new Set(principals)
    for (const listener of this.#listeners) listener(ended, reason)
  }
}

/** @throws `CONFLICT` for a name that a configured token has. */
export function requireFreeName(configured: TokenStore, name: string): void {
  if (name !== AUTO_NAME && configured.principals.every((principal) => principal.name !== name)) return
  throw new GatewayError('CONFLICT', 'There is a token of that name already.', { details: { name } })
}
