import { createHash, createPublicKey, verify } from 'node:crypto'

/** Base64url of an Ed25519 public key and of a signature: 32 and 64 bytes. */
const KEY = /^[A-Za-z0-9_-]{43}$/
const SIGNATURE = /^[A-Za-z0-9_-]{86}$/
const ID_DIGITS = 32
/** The y of the points of small order: who has such a “key” needs no private one to sign. */
const SMALL_ORDER = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
])

/** The id of the device with this key: 128 bits of its SHA-256, so that nobody makes a key for another one's id. */
export function deviceIdOf(publicKey: string): string {
  const digest = createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex')
  return `dev_${digest.slice(0, ID_DIGITS)}`
}

/** Whether it is written in the one way that there is to write such a key, and could be somebody's. */
export function isPublicKey(publicKey: string): boolean {
  const bytes = Buffer.from(publicKey, 'base64url')
  if (!KEY.test(publicKey) || bytes.toString('base64url') !== publicKey) return false
  // The highest bit is the sign of x.
  bytes[31]! &= 0x7f
  return !SMALL_ORDER.has(bytes.toString('hex'))
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
