import { createHash, createPublicKey, verify } from 'node:crypto'

/** Base64url of an Ed25519 public key and of a signature: 32 and 64 bytes. */
const KEY = /^[A-Za-z0-9_-]{43}$/
const SIGNATURE = /^[A-Za-z0-9_-]{86}$/
const ID_DIGITS = 32

/** The id of the device with this key: 128 bits of its SHA-256, so that nobody makes a key for another one's id. */
export function deviceIdOf(publicKey: string): string {
  const digest = createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex')
  return `dev_${digest.slice(0, ID_DIGITS)}`
}

/** Whether it is written in the one way that there is to write such a key. */
export function isPublicKey(publicKey: string): boolean {
  return KEY.test(publicKey) && Buffer.from(publicKey, 'base64url').toString('base64url') === publicKey
}

export function isSignedBy(publicKey: string, data: Uint8Array, signature: string): boolean {
  if (!SIGNATURE.test(signature)) return false
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, data, key, Buffer.from(signature, 'base64url'))
  } catch {
    // Not a point of the curve.
    return false
  }
}
