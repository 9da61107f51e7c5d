import { SCOPES, type Scope } from '../protocol/contract.js'
import { compilePatterns, type PrincipalLimits } from '../protocol/index.js'

/** Who a connection or HTTP request acts as, and what it may do. Immutable. */
export interface Principal {
  /** A name for logs and limits; never a secret. */
  readonly name: string
  readonly role: string
  readonly scopes: ReadonlySet<Scope>
  /** Session-key patterns that it is confined to; null: every session, empty: none. */
  readonly sessions: readonly string[] | null
  /** When its credentials end by themselves, ms since 1970; null: they do not. */
  readonly expiresAt: number | null
  /** Instead of those of `auth.limits`. */
  readonly limits: PrincipalLimits
  /** Whether `sessions` covers this key. */
  allowsSession(key: string): boolean
}

export function createPrincipal(options: {
  name: string
  role: string
  scopes: readonly Scope[]
  sessions?: readonly string[] | null
  expiresAt?: number | null
  limits?: PrincipalLimits
}): Principal {
  const sessions = options.sessions ? Object.freeze([...options.sessions]) : null
  return Object.freeze({
    name: options.name,
    role: options.role,
    scopes: new Set(options.scopes),
    sessions,
    expiresAt: options.expiresAt ?? null,
    limits: options.limits ?? {},
    allowsSession: sessions === null ? () => true : compilePatterns(sessions),
  })
}

/** Everyone, while authentication is off. */
export const ANONYMOUS = createPrincipal({ name: 'anonymous', role: 'admin', scopes: SCOPES })
