import { GatewayError, type PrincipalLimits, type Role, SCOPES, type Scope } from '../protocol/index.js'
import { createPrincipal, type Principal } from './principal.js'

/** What each role may do. `agent` takes runs and nothing else: a run carries the history that it needs. */
export const ROLE_SCOPES: Readonly<Record<Role, readonly Scope[]>> = {
  admin: SCOPES,
  operator: ['read', 'write'],
  viewer: ['read'],
  agent: ['agent'],
}

/** What a token or a device may do; as it is stored. */
export interface Rights {
  readonly role: string
  readonly scopes: readonly Scope[]
  /** Session-key patterns; null: every session. */
  readonly sessions: readonly string[] | null
  readonly limits?: PrincipalLimits
}

export interface Grant {
  readonly role?: Role
  readonly scopes?: readonly Scope[]
  readonly sessions?: readonly string[]
  readonly limits?: PrincipalLimits
}

/**
 * The rights that `by` gives.
 * @throws `FORBIDDEN` when they are more than it has itself.
 */
export function grant({ role, scopes, sessions, limits }: Grant, by: Principal): Rights {
  const rights: Rights = {
    role: role ?? (scopes === undefined ? 'operator' : 'custom'),
    scopes: scopes ?? ROLE_SCOPES[role ?? 'operator'],
    sessions: sessions ?? by.sessions,
    ...(limits === undefined ? {} : { limits }),
  }
  if (covers(by, rights)) return rights
  throw new GatewayError('FORBIDDEN', 'Nobody can give more rights than they have themselves.', {
    details: { scopes: [...by.scopes], sessions: by.sessions },
  })
}

/**
 * Whether a principal may do all that these rights allow. A pattern of theirs lies within one of its own exactly when that
 * one matches it as if it were a key: what stands for anything is only matched by what stands for anything.
 */
export function covers(
  principal: Principal,
  { scopes, sessions }: Pick<Rights, 'scopes' | 'sessions'>,
): boolean {
  if (!scopes.every((scope) => principal.scopes.has(scope))) return false
  if (sessions === null) return principal.sessions === null
  return sessions.every((pattern) => principal.allowsSession(pattern))
}

/** @throws `FORBIDDEN` for a principal that is confined to some sessions: this concerns all of them. */
export function requireUnconfined({ sessions }: Principal): void {
  if (sessions === null) return
  throw new GatewayError('FORBIDDEN', 'These credentials are confined to some sessions.', {
    details: { sessions },
  })
}

/** Whether a principal may see that there is a channel: some session of it may be its own. */
export function touchesChannel({ sessions }: Principal, channel: string): boolean {
  if (sessions === null) return true
  const prefix = `${channel}:`
  return sessions.some((pattern) => {
    const star = pattern.indexOf('*')
    if (star === -1) return pattern.startsWith(prefix)
    const start = pattern.slice(0, star)
    return start.startsWith(prefix) || prefix.startsWith(start)
  })
}

export function principalWith(name: string, rights: Rights, expiresAt: number | null = null): Principal {
  return createPrincipal({ name, ...rights, expiresAt })
}
