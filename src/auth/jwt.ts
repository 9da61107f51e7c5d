import type { Static } from '@sinclair/typebox'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { Jwt as JwtSchema } from '../config/schema-identity.js'
import type { Log } from '../log.js'
import { GatewayError, ROLES, type Role, SCOPES, type Scope } from '../protocol/index.js'
import type { CredentialSource } from './identities.js'
import { Jwks } from './jwks.js'
import type { Principal } from './principal.js'
import { principalWith, ROLE_SCOPES } from './rights.js'

export type JwtOptions = Static<typeof JwtSchema>

/** Compact serialisation of a JSON header; anything else is no JWT. */
const COMPACT = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/
const MAX_NAME = 200
const MAX_PATTERNS = 64

/** JSON Web Tokens of an identity provider (spec §5). The only user of jose, which is loaded with this module. */
export class JwtSource implements CredentialSource {
  readonly #options: JwtOptions
  readonly #jwks: Jwks
  readonly #log: Log
  readonly #now: () => number

  /** `now`: milliseconds since 1970. */
  constructor(options: JwtOptions, { log, now = Date.now }: { log: Log; now?: () => number }) {
    this.#options = options
    this.#log = log
    this.#now = now
    this.#jwks = new Jwks({
      ...options,
      onFailed: (err) => log.warn({ err }, 'the keys for JSON Web Tokens could not be fetched'),
    })
  }

  /** @throws `UNAVAILABLE` when the keys cannot be fetched: then nobody can tell. */
  authenticate(secret: string): Promise<Principal | null> | null {
    return COMPACT.test(secret) ? this.#verify(secret) : null
  }

  close(): void {
    this.#jwks.close()
  }

  async #verify(token: string): Promise<Principal | null> {
    const { issuer, audience, clockToleranceMs } = this.#options
    const algorithms = [...this.#options.algorithms] as string[]
    try {
      const { payload } = await jwtVerify(token, (header, input) => this.#jwks.key(header, input), {
        issuer,
        audience: [...audience],
        algorithms,
        clockTolerance: clockToleranceMs / 1000,
        currentDate: new Date(this.#now()),
        requiredClaims: ['exp'],
      })
      return this.#principalOf(payload)
    } catch (error) {
      if (error instanceof GatewayError) throw error
      if (!(error instanceof errors.JOSEError)) throw error
      this.#log.debug({ code: error.code, reason: error.message }, 'a JSON Web Token was refused')
      return null
    }
  }

  /** Null: its claims give no name or no rights, or are not what they should be. */
  #principalOf(payload: JWTPayload): Principal | null {
    const { claims, defaultRole, clockToleranceMs } = this.#options
    const name = claim(payload, claims.name)
    const rights = rightsOf(payload, claims, defaultRole as Role | undefined)
    const sessions = claims.sessions === undefined ? null : wordsOf(claim(payload, claims.sessions) ?? [])
    const isNamed = typeof name === 'string' && name !== '' && name.length <= MAX_NAME
    if (!isNamed || rights === null || sessions === undefined || (sessions?.length ?? 0) > MAX_PATTERNS) {
      this.#log.debug(
        { claims: Object.keys(payload) },
        'the claims of a JSON Web Token give nobody any rights',
      )
      return null
    }
    // The prefix keeps it from being taken for a token of that name.
    return principalWith(`jwt:${name}`, { ...rights, sessions }, payload.exp! * 1000 + clockToleranceMs)
  }
}

function rightsOf(
  payload: JWTPayload,
  claims: JwtOptions['claims'],
  defaultRole: Role | undefined,
): { role: string; scopes: readonly Scope[] } | null {
  const named = wordsOf(claim(payload, claims.scopes) ?? []) ?? []
  const scopes = SCOPES.filter((scope) => named.includes(scope))
  const roles = wordsOf(claim(payload, claims.role) ?? []) ?? []
  const role = ROLES.find((known) => roles.includes(known))
  if (scopes.length > 0) return { role: role ?? 'custom', scopes }
  const granted = role ?? defaultRole
  return granted === undefined ? null : { role: granted, scopes: ROLE_SCOPES[granted] }
}

/** `a.b` is the claim of that name, or the claim `b` inside `a`. */
function claim(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path]
  let value: unknown = payload
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

/** A list of words, or words separated by blanks; undefined: neither. */
function wordsOf(value: unknown): string[] | undefined {
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '')
  if (!Array.isArray(value)) return undefined
  return value.every((word) => typeof word === 'string' && word !== '') ? value : undefined
}
