import { hash, randomBytes } from 'node:crypto'

const SECRET_BYTES = 32

/** What is kept of a secret (spec §5). Secrets of ours have 256 random bits: nobody tries those out, so no salt is needed. */
export function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/**
 * The same as a key for maps. A look-up may take longer the more of a digest fits; but nobody can aim at a digest, as that
 * would take the inverse of SHA-256. So the time tells nothing of the secret.
 */
export function digestKey(secret: string): string {
  return digestOf(secret).toString('hex')
}

/** A new secret; the prefix lets scanners find one that was left somewhere. */
export function newSecret(prefix: 'lbt' | 'lbd'): string {
  return `${prefix}_${randomBytes(SECRET_BYTES).toString('base64url')}`
}
