import type { FlattenedJWSInput, JSONWebKeySet, JWTHeaderParameters } from 'jose'
import { createLocalJWKSet, errors } from 'jose'
import { GatewayError } from '../protocol/errors.js'

/** More than any provider publishes: a larger answer is something else. */
const MAX_BYTES = 262_144

export interface JwksOptions {
  readonly jwksUri: string
  /** How long the keys are used before they are fetched again, ms. */
  readonly cacheMs: number
  /** The time between two fetches, ms. */
  readonly cooldownMs: number
  /** How long keys are used while they cannot be fetched again, ms. */
  readonly staleMs: number
  /** How long a fetch may take, ms. */
  readonly timeoutMs: number
  /** Why the keys could not be fetched; the message has no secrets. */
  readonly onFailed: (error: unknown) => void
  /** A clock, ms. Default: one that nobody sets. */
  readonly now?: () => number
}

type Keys = ReturnType<typeof createLocalJWKSet>
type Key = Awaited<ReturnType<Keys>>

/**
 * The keys of an identity provider. Fetched when they are needed, at most once in a cooldown whatever keys are asked for, and
 * kept for a while when the provider is away.
 */
export class Jwks {
  /** Counters that only grow. */
  readonly stats = { fetches: 0, failures: 0 }
  readonly #options: JwksOptions
  readonly #now: () => number
  readonly #closing = new AbortController()
  #keys: Keys | null = null
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null

  constructor(options: JwksOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /**
   * The key that a token names.
   * @throws `UNAVAILABLE` when there are no keys to look among; jose's own error when none of them is the one.
   */
  async key(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<Key> {
    const { cacheMs } = this.#options
    if (this.#age() >= cacheMs) await this.#refresh()
    const { keys } = this
    try {
      return await keys(header, token)
    } catch (error) {
      // The provider may have a new key, or have taken back the one that we could not choose between.
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayFetch()) throw error
    }
    await this.#refresh()
    return this.keys(header, token)
  }

  /** @throws `UNAVAILABLE` when there are none that may be used. */
  get keys(): Keys {
    const { cacheMs, staleMs, cooldownMs } = this.#options
    if (this.#keys !== null && this.#age() < cacheMs + staleMs) return this.#keys
    const retryAfterMs = Math.ceil(Math.max(0, cooldownMs - (this.#now() - this.#triedAt)))
    const message = 'The keys to check this token with cannot be fetched at the moment.'
    throw new GatewayError('UNAVAILABLE', message, { retryAfterMs })
  }

  /** Ends a fetch that is under way. Twice is fine. */
  close(): void {
    this.#closing.abort()
  }

  #age(): number {
    return this.#now() - this.#fetchedAt
  }

  #mayFetch(): boolean {
    return this.#fetching !== null || this.#now() - this.#triedAt >= this.#options.cooldownMs
  }

  /** Resolves, whether or not they came: what is kept may do. */
  async #refresh(): Promise<void> {
    if (!this.#mayFetch()) return
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null
    })
    await this.#fetching
  }

  async #fetch(): Promise<void> {
    this.#triedAt = this.#now()
    this.stats.fetches++
    try {
      const { jwksUri, timeoutMs } = this.#options
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)])
      const response = await fetch(jwksUri, {
        // Elsewhere might be anywhere, and without TLS.
        redirect: 'error',
        headers: { accept: 'application/json' },
        signal,
      })
      if (!response.ok) {
        await response.body?.cancel()
        throw new Error(`the key server answers ${response.status}`)
      }
      this.#keys = createLocalJWKSet(JSON.parse(await readBounded(response)) as JSONWebKeySet)
      this.#fetchedAt = this.#now()
    } catch (error) {
      this.stats.failures++
      if (!this.#closing.signal.aborted) this.#options.onFailed(error)
    }
  }
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`the key server answers with more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
